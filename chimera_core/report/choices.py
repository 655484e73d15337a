"""Choices of viewers between two creatures, as a table of comma-separated values. Torch-free."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from chimera_core.errors import DataError
from chimera_core.files.atomic import disk_trouble, one_line, quote
from chimera_core.files.text import read_text

_VIEWER = "viewer-"


@dataclass(frozen=True)
class Choices:
    """What viewers chose.

    Args:
        groups: by pair of fusers, by choice: the votes, 1 for the first fuser (by name) and 0 for the other.
        fusers: that met.
    """

    groups: tuple[tuple[tuple[int, ...], ...], ...]
    fusers: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of choices with a vote."""
        return sum(map(len, self.groups))

    @property
    def viewers(self) -> int:
        """The most votes on one choice."""
        return max(len(votes) for group in self.groups for votes in group)

    @property
    def agreement(self) -> float | None:
        """Share of pairs of viewers who chose alike; None where no choice has two votes."""
        pairs = [a == b for group in self.groups for votes in group for a, b in combinations(votes, 2)]
        return sum(pairs) / len(pairs) if pairs else None


def read_choices(paths: Sequence[Path]) -> Choices:
    """Read tables of choices: ``x`` and ``y`` name the fusers, ``viewer-NAME`` holds X or Y, or nothing.

    Raises:
        DataError: with file and line, for one that is no such table, or without a vote.
    """
    groups: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    for path in paths:
        for pair, votes in _rows(path):
            if votes:
                groups.setdefault(pair, []).append(votes)
    if not groups:
        raise DataError(f"{quote(paths[0])} has no vote: fill in its columns {_VIEWER}... with X or Y")
    fusers = sorted({name for pair in groups for name in pair})
    return Choices(tuple(map(tuple, groups.values())), tuple(fusers))


def _rows(path: Path) -> list[tuple[tuple[str, str], tuple[int, ...]]]:
    try:
        table = csv.DictReader(io.StringIO(read_text(path)))
    except OSError as error:
        raise DataError(f"cannot read {quote(path)}: {disk_trouble(error)}") from error
    columns = table.fieldnames or ()
    viewers = [name for name in columns if name.startswith(_VIEWER)]
    if not {"x", "y"} <= {*columns} or not viewers:
        raise DataError(
            f"{quote(path)} is no table of choices: it needs columns x, y and {_VIEWER}1, {_VIEWER}2 ..."
        )
    found = []
    for row in table:
        votes = [row[name] or "" for name in viewers]
        wrong = next((vote for vote in votes if vote not in ("X", "Y", "")), None)
        if wrong is not None or not row["x"] or not row["y"] or row["x"] == row["y"]:
            what = f"a vote {quote(one_line(wrong, limit=40))}" if wrong is not None else "not two fusers"
            raise DataError(
                f"{quote(path)} line {table.line_num}: {what}: write X or Y, and a fuser for each side"
            )
        first, second = sorted((row["x"], row["y"]))
        is_turned = row["x"] != first
        cast = tuple(int((vote == "X") != is_turned) for vote in votes if vote)
        found.append(((first, second), cast))
    return found
