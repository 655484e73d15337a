"""Cells: one creature each, known by the hash of what determines it, recorded whole or not at all. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimera_core.compare.experiment.fusers import FuserEntry
from chimera_core.compare.experiment.identity import file_hash, hash_of, making_code
from chimera_core.compare.experiment.parents import ParentTuple
from chimera_core.components.image_readers import reading_of
from chimera_core.errors import DataError
from chimera_core.files.atomic import leads_out, one_line, write_text_atomic
from chimera_core.files.names import spelled_in
from chimera_core.files.own_folders import inside
from chimera_core.files.text import read_json_table

FOLDER = "cells"
# What a fuser of classes makes depends on names and seeds alone: each drawn tuple gets seeds of its own.
_SEEDS_APART = 10_007


@dataclass(frozen=True)
class Cell:
    """One creature to make. ``parents`` are files or names of classes, ``fuser_seed`` what the fuser gets.

    ``reason`` is why there can be none, or empty; ``id`` is the hash of all that determines it.
    """

    id: str
    fuser: str
    tuple_id: int
    weights: tuple[float, ...]
    seed: int
    fuser_seed: int
    parents: tuple[str, ...]
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give what a worker gets, and the record of the cell holds; a cell with a ``reason`` has neither."""
        return {
            "id": self.id,
            "fuser": self.fuser,
            "tuple": self.tuple_id,
            "weights": list(self.weights),
            "seed": self.seed,
            "fuser_seed": self.fuser_seed,
            "parents": list(self.parents),
        }

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Cell:
        """Read what ``to_json`` gave."""
        return cls(
            id=table["id"],
            fuser=table["fuser"],
            tuple_id=table["tuple"],
            weights=tuple(table["weights"]),
            seed=table["seed"],
            fuser_seed=table["fuser_seed"],
            parents=tuple(table["parents"]),
        )


@dataclass(frozen=True)
class FuserFacts:
    """What a fuser's class says of itself; finding it out imports the fuser."""

    accepts: frozenset[str]
    needs_training: bool
    max_parents: int | None

    @classmethod
    def of(cls, entry: FuserEntry) -> FuserFacts:
        """Ask a fuser, or what is recorded of a trained one."""
        if entry.trained is not None:
            learned = entry.trained.header
            return cls(frozenset(learned.accepts), False, learned.max_parents)
        made: Any = entry.choice.component.load_class()
        return cls(frozenset(made.accepts), bool(made.needs_training), made.max_parents)

    def to_json(self) -> dict[str, Any]:
        """Give the facts as plain values."""
        return {**vars(self), "accepts": sorted(self.accepts)}

    @classmethod
    def from_json(cls, kept: Any) -> FuserFacts | None:
        """Read what ``to_json`` gave; None for anything else, since the folder may be a stranger's."""
        match kept:
            case {
                "accepts": [*accepts],
                "needs_training": bool(needs),
                "max_parents": int() | None as most,
            } if set(map(str, accepts)) <= {"photo", "class"}:
                return cls(frozenset(accepts), needs, most)
        return None


def cells_of(
    entry: FuserEntry,
    facts: FuserFacts,
    tuples: list[ParentTuple],
    *,
    weights: list[tuple[float, ...]],
    seeds: list[int],
) -> list[Cell]:
    """List a fuser's cells: by tuple, then seed, then weight, so that a sweep is made in one go."""
    made = []
    for parents in tuples:
        for seed in seeds:
            given, reason = parents_for(entry, facts, parents, seed)
            by_name = all(not Path(p).is_file() for p in given)
            fuser_seed = seed + (_SEEDS_APART * parents.id if by_name and parents.is_drawn else 0)
            for shares in weights:
                identity: list[Any] = [
                    entry.identity,
                    making_code(),
                    entry.size,
                    [round(w, 9) for w in shares],
                    fuser_seed,
                    [_parent_identity(p) for p in given] or [parents.id, reason],
                ]
                made.append(
                    Cell(
                        id=hash_of(identity),
                        fuser=entry.id,
                        tuple_id=parents.id,
                        weights=shares,
                        seed=seed,
                        fuser_seed=fuser_seed,
                        parents=tuple(given),
                        reason=reason,
                    )
                )
    return made


def parents_for(
    entry: FuserEntry, facts: FuserFacts, parents: ParentTuple, seed: int
) -> tuple[list[str], str]:
    """Choose what a fuser gets for each parent: a file or a class; or say why it can take none."""
    if facts.max_parents is not None and len(parents.slots) > facts.max_parents:
        return [], f"takes {facts.max_parents} parents at most"
    photos = [slot.file(seed) if "photo" in facts.accepts else None for slot in parents.slots]
    known = entry.trained.header.classes if entry.trained else ()
    classes = [
        (spelled_in(known, slot.class_name) if known else slot.class_name)
        if "class" in facts.accepts and slot.class_name is not None
        else None
        for slot in parents.slots
    ]
    options: list[list[Any]] = [photos, classes] if entry.wants != "class" else [classes, photos]
    if entry.wants == "photo":
        options = [photos]
    for chosen in options:
        if all(c is not None for c in chosen):
            return [str(c) for c in chosen], ""
    mixed = [p or c for p, c in zip(photos, classes, strict=True)]
    if all(m is not None for m in mixed):
        return [str(m) for m in mixed], ""
    missing = parents.slots[next(k for k, m in enumerate(mixed) if m is None)]
    if missing.files:
        return [], one_line(
            f"takes no photographs, and knows no class {missing.class_name or 'of ' + missing.label}"
        )
    return [], one_line(f"knows no class {missing.label}, and there is no image of it (see [parents] source)")


def record_path(folder: Path, cell_id: str) -> Path:
    """Return where a cell's record lies."""
    return folder / FOLDER / f"{cell_id}.json"


def image_path(folder: Path, cell_id: str) -> Path:
    """Return where a cell's picture lies."""
    return folder / FOLDER / f"{cell_id}.png"


def read_record(folder: Path, cell_id: str) -> dict[str, Any] | None:
    """Read a cell's record; None if it was not made, or its picture is gone."""
    try:
        record = read_json_table(inside(folder, f"{FOLDER}/{cell_id}.json"))
    except (DataError, OSError):
        return None
    if record.get("id") != cell_id or not record.keys() >= {"status", "error", "wall_s", "device"}:
        return None
    picture = image_path(folder, cell_id)
    if record["status"] == "ok" and (not picture.is_file() or leads_out(picture, folder)):
        return None
    return record


def write_record(
    folder: Path,
    cell: Cell,
    *,
    status: str,
    error: str | None = None,
    wall_s: float | None = None,
    device: str | None = None,
) -> None:
    """Record how a cell went. Its picture must lie there before: the record is what says that it is done."""
    record = {
        **cell.to_json(),
        "status": status,
        "error": None if error is None else one_line(error, limit=300),
        "wall_s": None if wall_s is None else round(wall_s, 4),
        "device": device,
        "image": f"{FOLDER}/{cell.id}.png" if status == "ok" else None,
    }
    write_text_atomic(record_path(folder, cell.id), json.dumps(record, ensure_ascii=False) + "\n")


def _parent_identity(parent: str) -> dict[str, Any]:
    path = Path(parent)
    if not path.is_file():
        return {"class": parent}
    readers = reading_of([path])
    return {"file": file_hash(path), **({"reading": readers} if readers else {})}
