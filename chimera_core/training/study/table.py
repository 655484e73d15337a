"""A study's table: what was found in each domain, with its interval, as JSON and CSV. Torch-free."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from chimera_core.errors import DataError
from chimera_core.files.atomic import quote, write_text_atomic
from chimera_core.files.tables import csv_text
from chimera_core.statistics import wilson_interval

if TYPE_CHECKING:
    from chimera_core.training.study.domains import Domain

JSON = "study.json"
CSV = "study.csv"


@dataclass(frozen=True)
class Row:
    """One domain. Shares lie in [0, 1]; None where there is nothing to say.

    ``status``: ``ok``, ``n/a`` (it cannot be studied: ``reason``), ``failed`` (its training did: ``reason``), or
    ``pending``. ``accuracy_low`` to ``accuracy_high`` is the 95 % interval. ``majority`` is what always guessing the
    commonest training class gives on the same test images, ``chance`` one over the classes of the domain. ``loss`` is
    the mean cross entropy of the test images. ``folder`` is the domain's run, within the study's.
    """

    domain: str
    status: Literal["ok", "n/a", "failed", "pending"]
    n: int
    n_classes: int
    n_train: int
    n_test: int
    n_test_classes: int
    correct: int | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    majority: float | None = None
    chance: float | None = None
    loss: float | None = None
    macro_f1: float | None = None
    wall_s: float | None = None
    folder: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


def row_without_result(
    domain: Domain, status: Literal["n/a", "failed", "pending"], reason: str | None = None
) -> Row:
    """Give the row of a domain that was not tested."""
    folder = None if status == "n/a" else domain.folder
    return Row(**_counts(domain), status=status, folder=folder, reason=reason)


def row_with_result(domain: Domain, record: Mapping[str, Any], notes: Sequence[str] = ()) -> Row:
    """Give the row of a domain from its run's record: the last weights on the test images.

    Raises:
        DataError: if the record does not say how they did.
    """
    try:
        final = {name: float(record["final"][name]) for name in ("val_accuracy", "val_loss", "val_macro_f1")}
        # The record rounds to 7 digits; the count of right images is whole.
        correct = round(final["val_accuracy"] * domain.n_test)
        wall_s = round(record["wall_s"], 2)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the record of domain {quote(domain.name)} is damaged ({type(error).__name__}): remove its folder "
            f"{quote(domain.folder)}, and it is trained anew"
        ) from None
    low, high = wilson_interval(correct, domain.n_test)
    if domain.n_test_classes == 1:
        notes = [*notes, "one class only among the test images"]
    if domain.n_unseen:
        notes = [*notes, f"{domain.n_unseen} of {domain.n_test} test images are of classes not learned"]
    return Row(
        **_counts(domain),
        status="ok",
        correct=correct,
        accuracy=correct / domain.n_test,
        accuracy_low=low,
        accuracy_high=high,
        majority=domain.majority,
        chance=1 / domain.n_classes,
        loss=final["val_loss"],
        macro_f1=final["val_macro_f1"],
        wall_s=wall_s,
        folder=domain.folder,
        notes=tuple(notes),
    )


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Count the rows, and average those that are ok: each domain alike, and each test image alike."""
    done = [row for row in rows if row.status == "ok"]
    found: dict[str, Any] = {
        status: sum(row.status == status for row in rows) for status in ("ok", "n/a", "failed", "pending")
    }
    n_test, correct = sum(row.n_test for row in done), sum(row.correct or 0 for row in done)
    interval = wilson_interval(correct, n_test) if n_test else (None, None)
    return found | {
        "n_test": n_test,
        "mean_accuracy": _mean([row.accuracy or 0.0 for row in done]),
        "mean_majority": _mean([row.majority or 0.0 for row in done]),
        "pooled_accuracy": correct / n_test if n_test else None,
        "pooled_low": interval[0],
        "pooled_high": interval[1],
        "pooled_majority": sum((row.majority or 0.0) * row.n_test for row in done) / n_test
        if n_test
        else None,
        "wall_s": round(sum(row.wall_s or 0.0 for row in done), 2),
    }


def document_of(facts: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Join what is said of the whole study, its rows and their summary: the content of ``study.json``."""
    return {**facts, "rows": [dataclasses.asdict(row) for row in rows], "summary": summarise(rows)}


def write_table(folder: Path, document: Mapping[str, Any]) -> None:
    """Write ``study.json`` and ``study.csv``, each whole or not at all.

    Raises:
        RunError: if the disk refuses.
    """
    write_text_atomic(folder / JSON, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    names = [field.name for field in dataclasses.fields(Row)]
    rows = [{**row, "notes": "; ".join(row["notes"])} for row in document["rows"]]
    write_text_atomic(folder / CSV, csv_text(names, ([row[name] for name in names] for row in rows)))


def _counts(domain: Domain) -> dict[str, Any]:
    return {
        "domain": domain.name,
        "n": domain.n,
        "n_classes": domain.n_classes,
        "n_train": domain.n_train,
        "n_test": domain.n_test,
        "n_test_classes": domain.n_test_classes,
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
