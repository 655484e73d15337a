"""What the laws of every kind share: things that are made once, and words for what was met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from torch import Tensor

from chimera_core.downloads.assets import DownloadRefusedError
from chimera_core.laws import NotTriedError

T = TypeVar("T")


class Once(Generic[T]):
    """Something that is made once. One law tells why it cannot be made; the others then are not tried.

    Args:
        make: makes it.
        trouble: what the others say.
    """

    def __init__(self, make: Callable[[], T], trouble: str) -> None:
        self._make, self._trouble = make, trouble
        self._kept: list[T] = []
        self._error: Exception | None = None

    def first(self) -> T:
        """Give it, for the law that it can be made: what goes wrong is raised."""
        if self._error is not None:
            raise self._error
        if not self._kept:
            try:
                self._kept.append(self._make())
            except DownloadRefusedError:
                self._error = NotTriedError("it needs a download, and a check makes none")
                raise self._error from None
            except Exception as error:  # plugin border
                self._error = error
                raise
        return self._kept[0]

    def __call__(self) -> T:
        """Give it, for a law that needs it.

        Raises:
            NotTriedError: if it cannot be made.
        """
        try:
            return self.first()
        except NotTriedError:
            raise
        except Exception as error:
            raise NotTriedError(self._trouble) from error


def describe(thing: Any) -> str:
    """Name a value by type, and a tensor by its type and shape."""
    if isinstance(thing, Tensor):
        return f"{str(thing.dtype).removeprefix('torch.')} {tuple(thing.shape)}"
    return f"a {type(thing).__name__}"
