"""Let torchvision open a data set; what it refuses becomes one line."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

from chimera_core.api import ChimeraError, ConfigError, DataError, MissingDataError, one_line
from chimera_torchvision.classes import find_class
from chimera_torchvision.reading import Facts, look_into


@dataclass(frozen=True)
class Part:
    """What opens one split of a data set, in any process: a class's name and its arguments."""

    name: str
    arguments: tuple[tuple[str, Any], ...]
    target: str


class Opened(NamedTuple):
    """A data set of torchvision, and what it knows without decoding."""

    dataset: Any
    facts: Facts


def open_part(part: Part) -> Opened:
    """Let torchvision open its data.

    Raises:
        MissingDataError: if they are not here, or not whole.
        ConfigError: if it refuses an argument, or lacks a package.
        DataError: if they are no data for classes.
    """
    kind = find_class(part.name)
    try:
        dataset = kind(**dict(part.arguments))
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigError(f"torchvision cannot open {part.name}: {one_line(error, limit=240)}") from error
    except (RuntimeError, OSError) as error:
        if "pip install" in str(error):
            raise ConfigError(f"torchvision cannot open {part.name}: {one_line(error, limit=240)}") from error
        raise MissingDataError(_reason(error)) from error
    except Exception as error:  # torchvision's border: a list that is cut short, say
        reason = f"{type(error).__name__}: {one_line(error, limit=160)}"
        raise DataError(f"torchvision cannot read {part.name} ({reason}): get its files anew") from error
    try:
        return Opened(dataset, look_into(dataset, part.target))
    except ChimeraError:
        raise
    except Exception as error:  # the same border: an argument that only its use shows to be wrong
        reason = f"{type(error).__name__}: {one_line(error, limit=160)}"
        raise ConfigError(
            f"torchvision's {part.name} cannot be looked into ({reason}): check --argument"
        ) from error


@functools.lru_cache(maxsize=4)
def open_once(part: Part) -> Opened:
    """Open a part as ``open_part`` does, once in each process."""
    return open_part(part)


def _reason(error: Exception) -> str:
    text = one_line(error, limit=240).partition(" You can use download=True")[0]
    return text.rstrip(".") or type(error).__name__
