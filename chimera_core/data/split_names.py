"""Which split is for what. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chimera_core.errors import ConfigError
from chimera_core.files.names import spelled_in
from chimera_core.options.config import suggest

TRAIN_NAMES = ("train", "training")
VAL_NAMES = (
    "val",
    "valid",
    "validation",
    "dev",
    "eval",
    "evaluation",
    "holdout",
    "hold-out",
    "heldout",
    "test",
    "testing",
)
HELD_OUT = "held-out"
JOINED = "joined"
"""Name of all splits as one, where the source has none of that name."""


def is_split_name(name: str) -> bool:
    """Return whether a folder of this name is a split, in whatever case: ``Train``, ``dev``, ``test``."""
    return name.lower() in TRAIN_NAMES or name.lower() in VAL_NAMES


def is_train_name(name: str) -> bool:
    """Return whether a split of this name is to be learned from."""
    return name.lower() in TRAIN_NAMES


def learning_split(names: Iterable[str]) -> str:
    """Choose the split whose images stand for the whole: the one to learn from, else the first."""
    known = list(names)
    return min(filter(is_train_name, known), key=lambda n: TRAIN_NAMES.index(n.lower()), default=known[0])


def split_to_test_on(counts: Mapping[str, int], named: str | None = None) -> str:
    """Choose the split of data that nothing was learned from, to measure on: ``test`` before those to validate on.

    Args:
        counts: images by split.
        named: the user's choice, or None.
    Raises:
        ConfigError: if a split does not exist or is empty, or it is not clear which is meant.
    """
    filled = [name for name, count in counts.items() if count]
    if named is not None:
        if (found := spelled_in(filled, named)) is None:
            raise ConfigError(f"there is no split '{named}' with images" + suggest(named, filled))
        return found
    by_meaning = {name.lower(): name for name in filled}
    for name in ("test", "testing", *VAL_NAMES):
        if name in by_meaning:
            return by_meaning[name]
    if len(filled) != 1:
        raise ConfigError(f"which split is to be measured on? say --split ({', '.join(filled)})")
    return filled[0]


def name_splits(counts: Mapping[str, int], train: str | None, val: str | None) -> tuple[str, str]:
    """Choose the splits to learn from and to validate on.

    Args:
        counts: images by split.
        train: the user's choice, or None.
        val: the user's choice, or None.
    Returns:
        Two names; the first may be ``joined``, which means all; the second is ``held-out`` where there is no other
        split to validate on.
    Raises:
        ConfigError: if a split does not exist or is empty, or it is not clear which to learn from.
    """
    filled = [name for name, count in counts.items() if count]
    train, val = (name and (spelled_in(filled, name) or name) for name in (train, val))
    joins = train == JOINED and JOINED not in filled
    if joins and val not in (None, HELD_OUT):
        raise ConfigError(f"--train-split {JOINED} takes all splits: leave out --val-split {val}")
    if joins and filled:
        return JOINED, HELD_OUT
    for name in (train, val):
        if name is not None and name != HELD_OUT and name not in filled:
            raise ConfigError(f"there is no split '{name}' with images" + suggest(name, filled))
    if train is None:
        named = sorted(filter(is_train_name, filled), key=lambda name: TRAIN_NAMES.index(name.lower()))
        fitting = named or (filled if len(filled) == 1 else [])
        if not fitting:
            raise ConfigError(f"which split is to be learned from? say --train-split ({', '.join(filled)})")
        train = fitting[0]
    if val is None:
        by_meaning = {name.lower(): name for name in filled if name != train}
        val = next((by_meaning[name] for name in VAL_NAMES if name in by_meaning), HELD_OUT)
    return train, val
