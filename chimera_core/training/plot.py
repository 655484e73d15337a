"""``progress.png``: how a training went, drawn from its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chimera_core.files import atomic_path

# Okabe and Ito 2008: told apart by people who do not see all colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw_progress(
    path: Path, metrics: Sequence[Mapping[str, Any]], panels: Sequence[Sequence[str]], *, title: str
) -> None:
    """Draw metrics against the images seen, one panel under the other.

    Args:
        path: a .png.
        metrics: lines of ``metrics.jsonl``.
        panels: the names of each panel; those that no line has are left out, and so are empty panels.
        title: over the whole.
    Raises:
        RunError: if the disk refuses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    known = {name for line in metrics for name, value in line.items() if value is not None}
    shown = [names for panel in panels if (names := [n for n in panel if n in known])]
    figure = Figure(figsize=(7, 1 + 2.6 * max(1, len(shown))), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(max(1, len(shown)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, names in zip(axes, shown, strict=False):
        for name, colour in zip(names, _COLOURS, strict=False):
            points = [(line["images"], line[name]) for line in metrics if line.get(name) is not None]
            sparse = len(points) < 40
            axis.plot(
                *zip(*points, strict=True), color=colour, label=name, marker="." if sparse else "", lw=1.2
            )
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        if all("accuracy" in name or name.endswith("f1") for name in names):
            axis.set_ylim(0, 1.02)
    axes[-1].set_xlabel("images seen")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
