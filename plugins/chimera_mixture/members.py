"""What a mixture is made of: the options of one member, readable from one word. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import field_validator

from chimera_core.api import Config, SourceRef, option

Eyes = tuple[float, float, float, float]

_OWN = ("only", "split", "crop", "eyes")


class Member(Config):
    """One source in a mixture, and the class that its images become.

    A word says the same as a table: ``person=celeba,root=DIR,crop=178`` is the class, the source, then options.
    ``only``, ``split``, ``crop`` and ``eyes`` are the member's, all others the source's. A piece without ``=`` goes
    on with the one before it: ``eyes=43.5,62,134.5,62``, ``only=cat,dog``, ``split=train:all,val:test``.
    """

    class_name: str = option(..., help="the class that its images get")
    source: SourceRef = option(..., help="where they come from")
    only: tuple[str, ...] = option((), help="the source's classes to take; none named: all")
    split: str = option(
        "", help="the source's split for a split of the mixture, as train:all,val:test, the mixture's first"
    )
    crop: str | None = option(
        None, help="side of a centred square in pixels, or left,top,right,bottom; empty: the whole image"
    )
    eyes: Eyes | None = option(
        None,
        help="where the eyes are in the uncropped images, over what the source says: left x,left y,right x,right y",
    )

    @classmethod
    def from_word(cls, word: str) -> Mapping[str, Any]:
        """Read ``CLASS=SOURCE,option=value,...``.

        Raises:
            ValueError: saying how to write it.
        """
        pieces: list[list[str]] = []
        for piece in word.split(","):
            name, equals, value = piece.partition("=")
            if equals:
                pieces.append([name.strip(), value])
            elif pieces:
                pieces[-1][1] += "," + piece
            else:
                break
        if not pieces or not all(name for name, _ in pieces) or not pieces[0][1]:
            raise ValueError("write a member as CLASS=SOURCE,root=DIR,crop=178")
        (class_name, source), *rest = pieces
        named = {name: value for name, value in rest}
        if len(named) < len(rest):
            raise ValueError("write each option of a member once")
        options = {name.replace("-", "_"): value for name, value in named.items() if name not in _OWN}
        own = {name: value for name, value in named.items() if name in _OWN}
        return {"class_name": class_name, "source": {"name": source.strip(), "options": options}, **own}

    @field_validator("only", mode="before")
    @classmethod
    def _read_only(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("split")
    @classmethod
    def _split_is_pairs(cls, value: str) -> str:
        if not all(ours and theirs for ours, theirs in _pairs(value)):
            raise ValueError("write splits as train:all,val:test, the mixture's first")
        return value

    @property
    def split_names(self) -> dict[str, str]:
        """The source's split for every split of the mixture that ``split`` names."""
        return dict(_pairs(self.split))

    @field_validator("eyes", mode="before")
    @classmethod
    def _read_eyes(cls, value: Any) -> Any:
        value = tuple(value.split(",")) if isinstance(value, str) else value
        if value is not None and len(value) != 4:
            raise ValueError("write eyes as left x,left y,right x,right y in pixels")
        return value

    @field_validator("eyes")
    @classmethod
    def _eyes_are_two_points(cls, value: Eyes | None) -> Eyes | None:
        if value is not None and not (all(map(math.isfinite, value)) and value[0] < value[2]):
            raise ValueError("write eyes as left x,left y,right x,right y in pixels")
        return value


def _pairs(text: str) -> list[tuple[str, str]]:
    """Read ``train:all,val:test``; a half is empty where one is missing."""
    pairs = [piece.partition(":") for piece in text.split(",")] if text else []
    return [(ours.strip(), theirs.strip()) for ours, _, theirs in pairs]


def read_shares(balance: str, classes: tuple[str, ...]) -> dict[str, float] | None:
    """Read which share each class has in training.

    Args:
        balance: ``natural`` (as the files are), ``equal``, ``person=0.7,dog=0.3``, or ``0.7,0.3`` in the order of the
            classes.
        classes: names.
    Returns:
        Shares by class, sum 1; None for natural.
    Raises:
        ValueError: saying how to write it.
    """
    if balance == "natural":
        return None
    if balance == "equal":
        return {name: 1 / len(classes) for name in classes}
    pieces = [piece.rpartition("=") for piece in balance.split(",")]
    named = {name.strip(): number for name, equals, number in pieces if equals}
    amounts = named if named else dict(zip(classes, (number for _, _, number in pieces), strict=False))
    if len(pieces) != len(classes) or set(amounts) != set(classes):
        raise ValueError(f"write natural, equal, or a share of each class ({', '.join(classes)})")
    try:
        shares = {name: float(amounts[name]) for name in classes}
    except ValueError:
        raise ValueError("write natural, equal, or numbers such as 0.7,0.3") from None
    if not all(share >= 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError("write shares that are not negative and sum to 1")
    return shares
