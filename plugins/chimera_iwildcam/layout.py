"""The folder ``iwildcam_v2.0``: find it, and check its tables before wilds meets them.

wilds asserts without a word, or fails in the middle of pandas; here every fault is one line with its place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from chimera_core.api import DataError, MissingDataError, relative_name

if TYPE_CHECKING:
    import numpy as np
    import pandas
    from numpy.typing import NDArray

FOLDER = "iwildcam_v2.0"
MASKS = "instance_masks"
"""Folder beside ``train`` that may hold masks of the animals."""
PARTS = ("RELEASE_v2.0.txt", "metadata.csv", "categories.csv", "train")
SPLITS = ("train", "val", "test", "id_val", "id_test")
NUMBERS = ("y", "location_remapped", "sequence_remapped")
COLUMNS = ("split", *NUMBERS, "datetime", "filename")

_EXPECTED = f"expected {FOLDER} with {', '.join(PARTS[:-1])} and the folder {PARTS[-1]}"


def find_folder(root: str) -> Path:
    """Find ``iwildcam_v2.0`` at or below ``root``.

    Raises:
        MissingDataError: if it is not there or lacks a part; says what was expected and what was found.
    """
    path = Path(os.path.abspath(Path(os.path.expanduser(root))))
    if not os.path.isdir(path):
        is_broken = os.path.islink(path)
        met = "is a file" if os.path.isfile(path) else "is a broken link" if is_broken else "does not exist"
        raise MissingDataError(f"the folder '{path}' {met}: name the folder that holds {FOLDER} with --root")
    folder = path if path.name == FOLDER and not os.path.isdir(path / FOLDER) else path / FOLDER
    if not os.path.isdir(folder):
        mend = _EXPECTED
        if os.path.isfile(path / "metadata.csv"):
            mend = f"if this is the data set itself, rename the folder to {FOLDER}, as wilds wants it"
        raise MissingDataError(f"'{path}' holds no {FOLDER} ({_holdings(path)}): {mend}")
    lacking = [part for part in PARTS if not _is_there(folder / part)]
    if lacking:
        mend = "; an empty one will do" if lacking == [PARTS[0]] else ""
        raise MissingDataError(
            f"'{folder}' lacks {', '.join(lacking)} ({_holdings(folder)}): {_EXPECTED}{mend}"
        )
    return folder


def read_table(folder: Path) -> pandas.DataFrame:
    """Read the needed columns of ``metadata.csv``, one row an image, in the order of the file.

    Returns:
        ``COLUMNS`` as text, but for ``NUMBERS``, which are int64 and each contiguous from 0.
    Raises:
        DataError: if it cannot be read, lacks a column or a value, or wilds would stumble over its numbers.
    """
    path = folder / "metadata.csv"
    table = _read_csv(path, COLUMNS)
    if not len(table):
        raise DataError(f"'{path}' lists no images: expected one row an image")
    for name in COLUMNS:
        empty = table[name].isna()
        if empty.any():
            raise DataError(f"'{path}' has no {name} in line {_line(empty)}: fill it in or drop the row")
    strange = ~table["split"].isin(SPLITS)
    if strange.any():
        met = table["split"][strange].iloc[0]
        raise DataError(
            f"'{path}' has split '{met}' in line {_line(strange)}: the splits are {', '.join(SPLITS)}"
        )
    for line, name in enumerate(table["filename"], 2):
        try:
            relative_name(name)
        except DataError as error:
            raise DataError(f"'{path}', line {line}: {error}") from None
    for name in NUMBERS:
        wrong = ~table[name].str.fullmatch(r"\s*\d{1,15}\s*").astype(bool)
        if wrong.any():
            met = table[name][wrong].iloc[0]
            raise DataError(
                f"'{path}' has {name} '{met}' in line {_line(wrong)}: expected a whole number from 0"
            )
        table[name] = table[name].astype("int64")
        _check_contiguous(path, name, table[name].unique())
    return table


def read_class_names(folder: Path, count: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read the animals' names from ``categories.csv``; rows of other labels (y = 99999) are left out.

    Args:
        folder: ``iwildcam_v2.0``.
        count: number of classes K.
    Returns:
        A name for each class, and the classes that the file does not name: those are called ``class 17``. Two
        classes of one name get their number behind it.
    Raises:
        DataError: if it cannot be read or lacks a column.
    """
    table = _read_csv(folder / "categories.csv", ("y", "name"))
    named = {
        str(y).strip(): " ".join(str(name).split())
        for y, name in zip(table["y"], table["name"], strict=True)
        if name == name  # not NaN
    }
    names = [named.get(str(k)) or f"class {k}" for k in range(count)]
    unnamed = tuple(k for k in range(count) if not named.get(str(k)))
    return tuple(n if names.count(n) == 1 else f"{n} ({k})" for k, n in enumerate(names)), unnamed


def absent_files(folder: Path, names: tuple[str, ...]) -> list[str]:
    """List the images of the table that are not in ``train``, in its order; one look at the folder."""
    try:
        present = set(os.listdir(folder / "train"))
    except OSError as error:
        raise DataError(
            f"'{folder / 'train'}' cannot be listed ({error.strerror}): check its rights"
        ) from None
    return [name for name in names if name not in present]


def _read_csv(path: Path, columns: tuple[str, ...]) -> pandas.DataFrame:
    """Read columns as text."""
    import pandas

    try:
        table = pandas.read_csv(path, usecols=lambda name: name in columns, dtype=str)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror or error}): check the file") from None
    except ValueError as error:  # pandas' own errors and UnicodeDecodeError are ValueErrors
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"'{path}' is not a table of comma-separated values ({reason}): get it again"
        ) from None
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise DataError(
            f"'{path}' lacks the column {', '.join(lacking)}: expected {', '.join(columns)} in its first line"
        )
    return table


def _check_contiguous(path: Path, name: str, found: NDArray[np.int64]) -> None:
    highest = int(found.max())
    if highest != len(found) - 1:
        present = set(found.tolist())
        first = next(k for k in range(highest) if k not in present)
        raise DataError(
            f"'{path}' has {name} up to {highest} but never {first}: wilds needs every number from 0 on, over the "
            "whole file, so renumber the column"
        )


def _is_there(path: Path) -> bool:
    return os.path.isfile(path) if path.suffix else os.path.isdir(path)


def _holdings(folder: Path) -> str:
    """Return what a folder holds, for a message."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return f"it cannot be listed: {error.strerror}"
    if not names:
        return "it is empty"
    return f"it holds {', '.join(names[:5])}" + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _line(mask: pandas.Series) -> int:
    """Line in the file of the first row that a mask picks; the header is line 1."""
    return int(mask.to_numpy().argmax()) + 2
