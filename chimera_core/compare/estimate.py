"""What a comparison will cost, estimated by short trials that leave nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chimera_core.compare.experiment.data import check_data
from chimera_core.compare.experiment.plan import (
    Comparison,
    Experiment,
    check_folder,
    lay_out,
    train_first,
    waits_for_training,
)
from chimera_core.compare.figures.scoring import trial_of_measuring
from chimera_core.compare.making.work import Working, estimate_s, make_cells, pending, trials_of
from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import one_line


@dataclass(frozen=True)
class CostEstimate:
    """What a comparison will cost, by short trials.

    ``seconds`` is for making creatures, ``measuring_s`` for measuring them; None: it could not be tried, and ``remarks``
    gives the reason, as for other data that cannot be used. ``trainings`` are to be done first; ``seconds`` includes
    neither them nor the creatures that need them.
    """

    cells: int
    waiting: int
    seconds: float
    measuring_s: float | None
    fusers: Mapping[str, int]
    trainings: list[str]
    remarks: list[str]


def estimate_cost(experiment: Experiment, folder: Path, working: Working) -> CostEstimate:
    """Estimate what a comparison will cost; nothing is left behind."""
    check_folder(folder, experiment.file.top.name, experiment.named)
    trainings = waits_for_training(experiment, folder)
    remarks = check_data(experiment, trainings)
    with tempfile.TemporaryDirectory(prefix="chimera-trial-") as place:
        if trainings:
            unready = {t.name for t in trainings}
            # Encoders stand in for those that are trained, which costs the same.
            entries = [e for e in experiment.entries if e.id not in unready]
            comparison = lay_out(replace(experiment, entries=entries), Path(place))
        else:
            comparison = lay_out(train_first(experiment, folder), Path(place))
        waiting = pending(comparison, folder)
        trials = trials_of(comparison, waiting)
        make_cells(comparison, trials, Path(place), working)
        seconds = estimate_s(waiting, trials, Path(place), working.jobs)
        each = len(comparison.tuples) * len(experiment.file.top.seeds) * len(experiment.weights)
        counts = {e.id: each for e in experiment.entries if e.id not in comparison.cells}
        counts |= {fuser: sum(c.fuser == fuser for c in waiting) for fuser in comparison.cells}
        measuring_s, reason = _measuring_s(comparison, sum(counts.values()), working.device)
    return CostEstimate(
        cells=each * len(experiment.entries),
        waiting=sum(counts.values()),
        seconds=seconds,
        measuring_s=measuring_s,
        fusers=counts,
        trainings=[f"{t.kind} {t.name}" for t in trainings],
        remarks=[*remarks, *reason],
    )


def _measuring_s(comparison: Comparison, waiting: int, device: str) -> tuple[float | None, list[str]]:
    """Estimate the seconds of measuring so many new creatures, or give the reason why that cannot be tried."""
    if not waiting:
        return 0.0, []
    try:
        tuple_s, picture_s = trial_of_measuring(comparison, device)
    except ChimeraError as error:
        return None, [f"the time of measuring is not known: {one_line(error, limit=200)}"]
    return tuple_s * len(comparison.tuples) + picture_s * waiting, []
