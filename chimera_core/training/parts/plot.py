"""``progress.png``: how a training went, drawn from its metrics."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chimera_core.files.atomic import atomic_path

# Okabe and Ito 2008: told apart by people who do not see all colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_WIDTH_IN, _PANEL_IN, _GAP_IN = 7.0, 2.4, 0.2
_LEFT_IN, _RIGHT_IN, _TOP_IN, _BOTTOM_IN = 0.75, 0.15, 0.4, 0.5  # for the labels


@contextmanager
def own_style() -> Iterator[None]:
    """Let matplotlib draw by its own defaults, whatever a ``matplotlibrc`` says.

    It reads one that lies in the current folder, a stranger's perhaps, which could have LaTeX run over our words.
    """
    import matplotlib

    own: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that matplotlib is about to give up
            matplotlib.rcParams.update(own)
        yield


@own_style()
def draw_progress(
    path: Path, metrics: Sequence[Mapping[str, Any]], panels: Sequence[Sequence[str]], *, title: str
) -> None:
    """Draw metrics against the images seen, one panel under the other.

    Args:
        path: a .png.
        metrics: lines of ``metrics.jsonl``.
        panels: the names of each panel; those that no line has are left out, and so are empty panels.
    Raises:
        RunError: if the disk refuses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    known = {name for line in metrics for name, value in line.items() if value is not None}
    shown = [names for panel in panels if (names := [n for n in panel if n in known])]
    rows = max(1, len(shown))
    height = _TOP_IN + rows * _PANEL_IN + (rows - 1) * _GAP_IN + _BOTTOM_IN
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=110)
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10, y=1 - 0.1 / height, va="top")
    # Margins are fixed: a layout that measures its labels draws everything three times.
    room = {"left": _LEFT_IN / _WIDTH_IN, "right": 1 - _RIGHT_IN / _WIDTH_IN, "hspace": _GAP_IN / _PANEL_IN}
    room |= {"bottom": _BOTTOM_IN / height, "top": 1 - _TOP_IN / height}
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False, gridspec_kw=room)[:, 0]
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
        canvas.print_png(temporary)  # type: ignore[no-untyped-call]
