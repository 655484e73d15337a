"""Measure the creatures of a comparison: by tuple of parents, each figure once for one judge and one code."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.compare.experiment.cells import Cell, image_path
from chimera_core.compare.experiment.file import ExperimentFile
from chimera_core.compare.experiment.identity import data_identity, file_hash, hash_of, scoring_code
from chimera_core.compare.experiment.parents import ANY_SEED, ParentTuple, Slot
from chimera_core.compare.experiment.plan import Comparison
from chimera_core.errors import ChimeraError, DataError
from chimera_core.files.atomic import one_line, spell_paths, write_text_atomic
from chimera_core.files.own_folders import inside, make_folder
from chimera_core.files.text import LARGE_BYTES, read_json_table
from chimera_core.scoring.built_in_files import CHECKSUMS, NAME

if TYPE_CHECKING:
    from torch import Tensor

    from chimera_core.scoring.parents import ParentImages

FOLDER = "scores"
_TRIAL_PICTURES = 4
Figures = dict[str, dict[str, Any]]
"""Measurements by name: {value, n, extractor, reason}."""


@dataclass
class Scores:
    """What was measured: of cells by their id, and of sets by (fuser, tuple)."""

    cells: dict[str, Figures] = field(default_factory=dict)
    sets: dict[tuple[str, int], Figures] = field(default_factory=dict)

    def figure(self, cell_id: str, name: str) -> float | None:
        """Give a figure of a cell; None where there is none."""
        found = self.cells.get(cell_id, {}).get(name)
        return None if found is None else found["value"]

    @property
    def reference_images(self) -> int:
        """Count the images of the reference that realism was measured by; 0 without one."""
        return max((cell["realism"]["n"] for cell in self.cells.values() if "realism" in cell), default=0)


def score_cells(
    comparison: Comparison,
    made: Mapping[str, Mapping[str, Any]],
    folder: Path,
    *,
    device: str = "auto",
    card: Any = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> tuple[Scores, int]:
    """Measure all cells that were made, taking from the folder what was measured before.

    Args:
        made: records of the cells that are well, by id.
        card: the scorecard, if it is open already.
        progress: called with (done, total) in tuples.
    Returns:
        The scores, and how many tuples had something new to measure.
    Raises:
        ChimeraError: if a judge or the reference cannot be had.
    """
    scores, measured = Scores(), 0
    for done, parents in enumerate(comparison.tuples):
        cells = _cells_of(comparison, made, parents)
        store = folder / FOLDER / f"{_key(comparison, parents)}.json"
        kept = _kept(store)
        by_fuser = {fuser: _set_key(found) for fuser, found in cells.items()}
        missing = list(
            {c.id: c for found in cells.values() for c in found if c.id not in kept["cells"]}.values()
        )
        missing_sets = [f for f, set_key in by_fuser.items() if set_key not in kept["sets"]]
        if missing or missing_sets:
            measured += 1
            card = card or open_scorecard(comparison, device)
            _measure(card, comparison, parents, cells, missing, missing_sets, kept, folder)
            write_text_atomic(store, json.dumps(kept, ensure_ascii=False) + "\n")
        for found in cells.values():
            scores.cells.update({c.id: kept["cells"][c.id] for c in found})
        scores.sets.update({(f, parents.id): kept["sets"][set_key] for f, set_key in by_fuser.items()})
        progress(done + 1, len(comparison.tuples))
    return scores, measured


def open_scorecard(comparison: Comparison, device: str) -> Any:
    """Build the scorecard of an experiment: its judges, and its reference or the one that comes along."""
    from chimera_core.devices import select_device
    from chimera_core.scoring.built_in import BuiltInReference
    from chimera_core.scoring.judge.judge import load_judge
    from chimera_core.scoring.scorecard import Scorecard

    experiment = comparison.experiment
    chosen = select_device(device)
    judges = [
        load_judge(experiment.host, table.encoder, options=table.options, device=chosen)
        for table in experiment.file.judges.values()
    ]
    cache = experiment.host.settings.path("cache") / "judged"
    size = experiment.file.top.size
    images = reference_images(comparison)
    reference = BuiltInReference() if images is None else images
    metrics = {name: choice.load() for name, choice in experiment.metrics.items()}
    return Scorecard(judges, reference=reference, size=size, cache=cache, metrics=metrics)


def trial_of_measuring(comparison: Comparison, device: str) -> tuple[float, float]:
    """Measure made-up pictures of one tuple of parents: seconds for a tuple, and for each picture.

    What a picture shows makes no difference to its cost. Features of the reference are taken before, and kept in the cache.

    Raises:
        ChimeraError: if a judge or the reference cannot be had, or these parents cannot be told apart.
    """
    import torch

    parents, size = comparison.tuples[0], comparison.experiment.file.top.size
    card = open_scorecard(comparison, device)
    start = time.perf_counter()
    prepared = card.prepare(_parents_of(comparison, parents))
    tuple_s = time.perf_counter() - start
    pictures = torch.rand(_TRIAL_PICTURES, 3, size, size, generator=torch.Generator().manual_seed(0))
    shares = torch.full((_TRIAL_PICTURES, len(parents.slots)), 1 / len(parents.slots), dtype=torch.float64)
    start = time.perf_counter()
    card.measure(prepared, pictures, shares)
    card.measure_set(prepared, pictures, shares)
    return tuple_s, (time.perf_counter() - start) / _TRIAL_PICTURES


def parent_images(comparison: Comparison, slot: Slot) -> ParentImages | None:
    """Give a parent as judges are shown it: real images of its class, or its one photograph; None without an image."""
    from chimera_core.scoring.pictures import parent_of_class, parent_of_file

    file, host = comparison.experiment.file, comparison.experiment.host
    size, source, options = file.top.size, file.parents.source, spell_paths(file.parents.options)
    if slot.class_name is not None and source is not None:
        shown = slot.files.get(ANY_SEED)
        return parent_of_class(host, slot.class_name, source=source, options=options, size=size, shown=shown)
    if not slot.files:
        return None
    return parent_of_file(next(iter(slot.files.values())), label=slot.label, size=size)


def reference_images(comparison: Comparison) -> Any:
    """Give the reference's images as a split that was packed at the experiment's size; None without one."""
    file, host = comparison.experiment.file, comparison.experiment.host
    table = file.reference
    if table is None:
        return None
    from chimera_core.data.subsets import spread_subset
    from chimera_core.scoring.pictures import packed_split

    options = spell_paths(table.options)
    split, _ = packed_split(host, table.source, options, size=file.top.size, split=table.split)
    return spread_subset(split, table.images)


def _measure(
    card: Any,
    comparison: Comparison,
    parents: ParentTuple,
    cells: Mapping[str, list[Cell]],
    missing: Sequence[Cell],
    missing_sets: Sequence[str],
    kept: dict[str, Any],
    folder: Path,
) -> None:
    """Measure what is missing of one tuple, into ``kept``."""
    size = comparison.experiment.file.top.size
    try:
        prepared = card.prepare(_parents_of(comparison, parents))
    except ChimeraError as error:  # these parents cannot be told apart: their creatures cannot be measured
        reason = {"value": None, "n": 0, "extractor": "", "reason": one_line(error, limit=200)}
        kept["cells"].update({c.id: {"score": reason} for c in missing})
        kept["sets"].update({_set_key(cells[fuser]): {} for fuser in missing_sets})
        return
    if missing:
        pictures, shares = _pictures(missing, folder, size)
        found = card.measure(prepared, pictures, shares)
        kept["cells"].update({c.id: _plain(m) for c, m in zip(missing, found, strict=True)})
    for fuser in missing_sets:
        pictures, shares = _pictures(cells[fuser], folder, size)
        kept["sets"][_set_key(cells[fuser])] = _plain(
            card.measure_set(prepared, pictures, shares, same_pictures=_same_pictures(cells[fuser]))
        )


def _pictures(cells: Sequence[Cell], folder: Path, size: int) -> tuple[Tensor, Tensor]:
    """Read cells' pictures, float (n, 3, S, S) in [0, 1], and their weights, (n, P)."""
    import torch

    from chimera_core.scoring.pictures import read_squares

    pictures = read_squares([image_path(folder, cell.id) for cell in cells], size=size)
    return pictures, torch.tensor([cell.weights for cell in cells], dtype=torch.float64)


def _same_pictures(cells: Sequence[Cell]) -> bool:
    """Return whether a fuser was given the same files for every creature."""
    given = {tuple(cell.parents) for cell in cells}
    return len(given) == 1 and all(Path(parent).is_file() for parent in next(iter(given)))


def _parents_of(comparison: Comparison, parents: ParentTuple) -> list[ParentImages]:
    made = []
    for slot in parents.slots:
        found = parent_images(comparison, slot)
        if found is None:
            raise DataError(f"there is no image of {slot.label}: name a source of it in [parents]")
        made.append(found)
    return made


def _plain(figures: Mapping[str, Any]) -> Figures:
    return {
        name: {
            "value": None if m.value is None or not math.isfinite(m.value) else float(m.value),
            "n": m.n,
            "extractor": m.extractor,
            "reason": m.reason,
        }
        for name, m in figures.items()
    }


def _cells_of(comparison: Comparison, made: Mapping[str, Any], parents: ParentTuple) -> dict[str, list[Cell]]:
    """Give the cells of a tuple that are well, by fuser."""
    found = {}
    for fuser, cells in comparison.cells.items():
        if here := [c for c in cells if c.tuple_id == parents.id and c.id in made]:
            found[fuser] = here
    return found


def _key(comparison: Comparison, parents: ParentTuple) -> str:
    """Hash what decides the figures of a tuple's creatures, beside the creatures."""
    experiment = comparison.experiment
    file = experiment.file
    by_class = [s.class_name if file.parents.source else None for s in parents.slots]
    files = [sorted(file_hash(p) for p in s.files.values()) for s in parents.slots]
    # Only where there are some, so that what was measured before there were any is still valid.
    metrics = [choice.identity() for choice in experiment.metrics.values()]
    return hash_of(
        [
            *([metrics] if metrics else []),
            list(experiment.judges.values()),
            reference_identity(file),
            data_identity(str(file.parents.source), file.parents.options) if any(by_class) else None,
            by_class,
            files,
            [s.label for s in parents.slots] if not any(files) else None,
            file.top.size,
            scoring_code(experiment.host),
        ]
    )


def reference_identity(file: ExperimentFile) -> list[Any]:
    """Return what decides the reference."""
    table = file.reference
    if table is None:
        return [NAME, sorted(CHECKSUMS.items())]
    return [*data_identity(table.source, table.options), table.split, table.images]


def _set_key(cells: Sequence[Cell]) -> str:
    return hash_of(sorted(c.id for c in cells))


def _kept(store: Path) -> dict[str, Any]:
    try:
        kept = read_json_table(inside(store.parent.parent, f"{FOLDER}/{store.name}"), most_bytes=LARGE_BYTES)
        return {part: {k: v for k, v in kept[part].items() if _is_figures(v)} for part in ("cells", "sets")}
    except (DataError, OSError, KeyError, AttributeError):
        make_folder(store.parent, within=store.parent.parent)
        return {"cells": {}, "sets": {}}


def _is_figures(found: Any) -> bool:
    """Return whether that is what is noted of a cell or set; the folder may be a stranger's."""
    return isinstance(found, dict) and all(
        isinstance(f, dict)
        and f.keys() >= {"value", "n", "reason"}
        and (f["value"] is None or isinstance(f["value"], (int, float)))
        for f in found.values()
    )
