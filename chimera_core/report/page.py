"""The report of a comparison: one page that opens anywhere, a contact sheet, and Markdown."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import atomic_path, one_line
from chimera_core.files.own_folders import inside
from chimera_core.files.toml import read_toml
from chimera_core.images import write_png
from chimera_core.privacy import without_folders
from chimera_core.report import formatting, plots, words
from chimera_core.report.formatting import escape_markdown, fenced
from chimera_core.report.pictures import (
    choose_embedding,
    metric_names,
    missing_pictures,
    tuple_blocks,
)
from chimera_core.report.reading import read_comparison
from chimera_core.report.record import ComparisonRecord
from chimera_core.report.sheet import draw_sheet
from chimera_core.runs.record import read_run_record

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE, SHEET, MARKDOWN = "report.html", "sheet.png", "report.md"
_TEMPLATES = Path(__file__).parent / "templates"


def write_report(folder: Path) -> Path:
    """Write ``report.html``, ``sheet.png`` and ``report.md`` of a comparison, all three or none.

    The page holds everything: pictures, styles and script. It asks for nothing, and its own policy forbids
    whatever it might ask for. Reports travel, so folders are left out of paths.

    Args:
        folder: of the run, with ``comparison.json`` and the pictures it names. ``run.json`` and ``config.toml``
            are shown if they are there.
    Returns:
        The page.
    Raises:
        ConfigError: if the folder is no comparison or its record is damaged; nothing is written.
        DataError: if one of its files is a link out of the folder; nothing is written.
        RunError: if the disk refuses.
    """
    comparison = read_comparison(folder)
    context = _context(folder, comparison)
    with ExitStack() as files:
        page, sheet, markdown = (
            files.enter_context(atomic_path(folder / f)) for f in (PAGE, SHEET, MARKDOWN)
        )
        write_png(sheet, draw_sheet(folder, comparison))
        text = (
            _environment(finalize=escape_markdown, keep_trailing_newline=True)
            .get_template("report.md")
            .render(context)
        )
        markdown.write_bytes(text.encode(errors="replace"))
        _write_page(page, folder, comparison, context)
    return folder / PAGE


def _write_page(path: Path, folder: Path, comparison: ComparisonRecord, context: Mapping[str, Any]) -> None:
    embedding = choose_embedding(folder, comparison)
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    template = _environment(autoescape=True).get_template("report.html")
    stream = template.stream(
        context,
        css=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        embedding=embedding,
        page_data={
            "fusers": [{"label": f.label, "isControl": f.is_control} for f in comparison.by_rank],
            "tuples": [tuple_.labels for tuple_ in comparison.tuples],
            "seeds": list(embedding.seeds),
            "metrics": metric_names(comparison),
            "steps": max((len(comparison.sweep_of(tuple_)) for tuple_ in comparison.tuples), default=1),
        },
        blocks=tuple_blocks(folder, comparison, embedding),
        missing=missing_pictures(folder, comparison),
        small_plot=plots.score_by_cost(comparison, width=358, height=400),
        wide_plot=plots.score_by_cost(comparison, width=1000, height=420),
        positions=plots.positions(comparison),
        shares=plots.scores_by_share(comparison),
    )
    stream.enable_buffering(64)
    with open(path, "wb") as file:
        # A name of undecodable bytes must not cost the page.
        stream.dump(file, encoding="utf-8", errors="replace")


def _context(folder: Path, comparison: ComparisonRecord) -> dict[str, Any]:
    """Gather what page and Markdown both say."""
    columns = words.ranking_columns(comparison)
    record, experiment = _record(folder), _experiment(folder)
    names = dict.fromkeys((*metric_names(comparison), *(c.name for c in columns)))
    return {
        "comparison": comparison,
        "headline": words.headline(comparison),
        "groups": words.group_noun(comparison),
        "intervals": words.intervals(comparison),
        "columns": columns,
        "rows": words.ranking_rows(comparison, columns),
        "labels": comparison.labels,
        "legend": words.legend(comparison, list(names)),
        "failures": words.failures(comparison),
        "not_applicable": words.not_applicable(comparison),
        "unmeasured": words.unmeasured(comparison),
        "formula": words.formula(comparison),
        "highest": max((p.high or p.mean or 0 for p in comparison.ranking), default=0) or 1,
        "record": record,
        "experiment": experiment,
        "command": comparison.command or one_line(" ".join(map(str, record.get("command", [])))),
        "sheet": SHEET,
    }


def _record(folder: Path) -> dict[str, Any]:
    """Return ``run.json``, or nothing where it is missing: a copied report must not fail over its footnotes."""
    try:
        record: dict[str, Any] = without_folders(read_run_record(folder))
    except ConfigError:
        return {}
    return record


def _experiment(folder: Path) -> str:
    """Return ``config.toml`` without folders, "" if it is missing or no TOML; a link out of the folder is refused."""
    try:
        text = read_toml(inside(folder, "config.toml"), what="experiment").text
    except ConfigError:
        return ""
    return str(without_folders(text))


def _environment(**escaping: Any) -> Environment:
    """Make templates whose every value is escaped, as HTML (``autoescape``) or Markdown (``finalize``)."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **escaping,
    )
    environment.filters.update(_FILTERS)
    environment.tests["known_flag"] = words.is_flag
    return environment


_FILTERS = {
    "show": formatting.show,
    "seconds": formatting.show_seconds,
    "with_interval": words.with_interval,
    "listed": formatting.listed,
    "counted": formatting.counted,
    "compact": formatting.compact,
    "fenced": fenced,
    "explained": words.explained,
}
