"""``study.png``: the accuracy in every domain with its interval, beside what guessing the commonest class gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chimera_core.files.atomic import atomic_path, one_line
from chimera_core.training.parts.plot import own_style

FILE = "study.png"
# Okabe and Ito 2008: told apart by people who do not see all colours.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "0.45"
_ROW_IN, _MARGIN_IN, _WIDTH_IN = 0.3, 1.5, 8.5
_MOST_IN = 150.0  # a picture of 245 cameras is tall; one of 5000 would be refused


@own_style()
def draw_study(path: Path, rows: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """Draw one line per domain, from the top: dot and interval, tick of the baseline, counts; or why there is none.

    Args:
        path: a .png.
        rows: of ``study.json``.
    Raises:
        RunError: if the disk refuses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = min(_MOST_IN, _MARGIN_IN + _ROW_IN * len(rows))
    figure = Figure(figsize=(_WIDTH_IN, height), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.set_title(one_line(title, limit=100), fontsize=10, parse_math=False)
    places = dict(enumerate(rows))
    tested = {place: row for place, row in places.items() if row["status"] == "ok"}
    for place, row in places.items():
        if place % 2 == 0:
            axis.axhspan(place - 0.5, place + 0.5, color="0.96", lw=0)
        if place not in tested:
            _label(axis, place, row)
    if tested:
        _draw_results(axis, tested)
    axis.set_xlim(0, 1)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(list(places), [one_line(row["domain"], limit=30) for row in rows], parse_math=False)
    axis.set_xlabel("accuracy on the domain's own test images (95 % interval)")
    axis.xaxis.grid(alpha=0.3)
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _draw_results(axis: Any, tested: Mapping[int, Mapping[str, Any]]) -> None:
    places, rows = list(tested), list(tested.values())
    accuracy = [row["accuracy"] for row in rows]
    below = [max(0.0, row["accuracy"] - row["accuracy_low"]) for row in rows]
    above = [max(0.0, row["accuracy_high"] - row["accuracy"]) for row in rows]
    axis.errorbar(
        accuracy, places, xerr=[below, above], fmt="o", color=_BLUE, ms=5, lw=1.4, capsize=3, label="encoder",
        clip_on=False,
    )  # fmt: skip
    axis.plot(
        [row["majority"] for row in rows], places, "|", color=_ORANGE, ms=13, mew=2.2,
        label="always the commonest training class", clip_on=False,
    )  # fmt: skip
    for place, row in tested.items():
        axis.annotate(
            f"{row['correct']}/{row['n_test']} right, {row['n_train']} learned",
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color="0.3",
        )
    handles, labels = axis.get_legend_handles_labels()
    axis.figure.legend(handles[::-1], labels[::-1], loc="outside lower center", fontsize=8, ncols=2)


def _label(axis: Any, place: int, row: Mapping[str, Any]) -> None:
    reason = f": {one_line(row['reason'], limit=80)}" if row["reason"] else ""
    colour = _ORANGE if row["status"] == "failed" else _GREY
    text = f"{row['status']}{reason}"
    axis.text(0.01, place, text, va="center", fontsize=8, color=colour, parse_math=False)
