"""Make the cells that are not there yet: a short trial of each fuser first, to estimate the time. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimera_core.compare.experiment.cells import FOLDER, Cell, read_record, record_path
from chimera_core.compare.experiment.plan import Comparison
from chimera_core.compare.making.pool import Group, Limits, Pool
from chimera_core.files.own_folders import make_folder, remove_file, remove_half_written
from chimera_core.host_memory import available_bytes

_FEW = 4
"""Of a fuser with no more cells than these no trial is made: it would cost more than it tells."""
_MEMORY_SHARE = 0.8
_GIB = 1 << 30
_ORPHAN_S = 5.0  # a worker whose comparison was killed may still be at its last picture


@dataclass(frozen=True)
class Working:
    """How cells are made. ``memory`` in bytes; 0: the workers share most of what is free.

    ``ray`` is the address of a cluster; on one, ``jobs`` is how many workers share a GPU.
    """

    jobs: int
    device: str = "auto"
    cell_s: float = 600.0
    memory: int = 0
    registries: tuple[str, ...] = ()
    ray: str | None = None

    @property
    def limits(self) -> Limits:
        """What each cell may take."""
        share = int(available_bytes() * _MEMORY_SHARE / self.jobs)
        return Limits(self.cell_s, self.memory or max(share, _GIB))


def pending(comparison: Comparison, folder: Path, *, retry_failed: bool = False) -> list[Cell]:
    """List the cells that have no record yet; with ``retry_failed`` those that failed lose theirs first."""
    waiting: dict[str, Cell] = {}  # two fusers of one identity share their cells
    for cell in comparison.all_cells:
        if cell.reason:
            continue
        record = read_record(folder, cell.id)
        if record is not None and retry_failed and record["status"] == "failed":
            remove_file(record_path(folder, cell.id), within=folder)
            record = None
        if record is None:
            waiting.setdefault(cell.id, cell)
    return list(waiting.values())


def trials_of(comparison: Comparison, cells: Sequence[Cell]) -> list[Cell]:
    """Choose two cells of each fuser that has more than a few: of most even weights, which cost most.

    They are of two tuples, where there are two: the first bears the loading, the second is what a cell costs.
    """
    by_fuser: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda c: max(c.weights)):
        by_fuser.setdefault(cell.fuser, []).append(cell)
    chosen = []
    for fuser, found in by_fuser.items():
        if len(found) > _FEW and not comparison.entry(fuser).is_control:
            first = found[0]
            others = [c for c in found[1:] if c.tuple_id != first.tuple_id] or found[1:]
            chosen += [first, others[0]]
    return chosen


def make_cells(
    comparison: Comparison,
    cells: Sequence[Cell],
    folder: Path,
    working: Working,
    *,
    on_cell: Callable[[str], None] = lambda cell: None,
) -> None:
    """Make cells in worker processes; each has a record afterwards.

    Raises:
        KeyboardInterrupt: after Ctrl-C; whole cells stay.
        RunError: if the disk refuses.
    """
    make_folder(folder / FOLDER, within=folder)
    groups: dict[tuple[str, int], Group] = {}
    for cell in cells:
        key = (cell.fuser, cell.tuple_id)
        if key not in groups:
            plugin = comparison.entry(cell.fuser).choice.component.plugin
            groups[key] = Group(cell.fuser, plugin, _job(comparison, cell.fuser, folder, working), [])
        groups[key].cells.append(cell)
    remove_half_written(folder / FOLDER, within=folder, older_s=_ORPHAN_S)
    try:
        if working.ray is not None:
            from chimera_core.compare.making.ray_cluster import run_on_ray

            gpus = 0.0 if working.device in ("auto", "cpu") else 1.0 / working.jobs
            limits = Limits(working.cell_s, working.memory)  # how much another machine has is not known here
            run_on_ray(list(groups.values()), folder, limits, address=working.ray, gpus=gpus, on_cell=on_cell)
        else:
            Pool(folder, working.jobs, working.limits, on_cell).run(list(groups.values()))
    finally:
        remove_half_written(folder / FOLDER, within=folder)


def estimate_s(cells: Sequence[Cell], trials: Sequence[Cell], folder: Path, jobs: int) -> float:
    """Estimate the seconds that cells will take, from the trials' records; at most, for a sweep shares its work."""
    costs: dict[str, float] = {}
    for trial in trials:
        seconds = (read_record(folder, trial.id) or {}).get("wall_s") or 0.0
        costs[trial.fuser] = min(seconds, costs.get(trial.fuser, seconds))
    return sum(costs.get(cell.fuser, 0.0) for cell in cells) / max(1, jobs)


def _job(comparison: Comparison, fuser: str, folder: Path, working: Working) -> Mapping[str, Any]:
    entry = comparison.entry(fuser)
    return {
        "folder": str(folder.resolve()),
        "registries": working.registries,
        "request": {
            "fuser": entry.fuser,
            "preset": entry.preset,
            "options": dict(entry.options),
            "size": entry.size,
            "device": working.device,
            "square": True,
        },
    }
