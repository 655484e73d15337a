"""What a comparison will take, found out by short trials that leave nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chimera_core.compare.experiment.data import check_data
from chimera_core.compare.experiment.plan import (
    Experiment,
    check_folder,
    lay_out,
    train_first,
    waits_for_training,
)
from chimera_core.compare.making.work import Working, estimate_s, make_cells, pending, trials_of


@dataclass(frozen=True)
class Outlook:
    """What a comparison will take, by short trials.

    ``remarks`` say what cannot be measured. ``trainings`` are to be done first; what they, and creatures that need them, take is not in ``seconds``.
    """

    cells: int
    waiting: int
    seconds: float
    fusers: Mapping[str, int]
    trainings: list[str]
    remarks: list[str]


def look_ahead(experiment: Experiment, folder: Path, working: Working) -> Outlook:
    """Say what a comparison will take; nothing is left behind."""
    check_folder(folder, experiment.said.top.name, experiment.named)
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
    each = len(comparison.tuples) * len(experiment.said.top.seeds) * len(experiment.weights)
    counts = {e.id: each for e in experiment.entries if e.id not in comparison.cells}
    counts |= {fuser: sum(c.fuser == fuser for c in waiting) for fuser in comparison.cells}
    return Outlook(
        cells=each * len(experiment.entries),
        waiting=sum(counts.values()),
        seconds=seconds,
        fusers=counts,
        trainings=[f"{t.kind} {t.name}" for t in trainings],
        remarks=remarks,
    )
