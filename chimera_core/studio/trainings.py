"""Runs as the page shows them: status, pictures that grow, and reports; files of a run are served, and no others.

Torch-free.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote as url_quote

from chimera_core.errors import ChimeraError
from chimera_core.files.own_folders import inside
from chimera_core.runs.record import RECORD, read_run_record, run_status

MOST_SHOWN = 24
_PICTURES = {".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg", ".webp": "image/webp"}
_REPORT = "report.html"


@dataclass(frozen=True)
class RunCard:
    """One run as the page shows it. ``pictures`` are names below its folder, ``changed`` the newest one's time in ns."""

    name: str
    kind: str
    status: str
    images: int | None
    source: str
    written: str
    pictures: tuple[str, ...]
    report: str
    changed: int


def list_runs(below: Path) -> list[RunCard]:
    """List the runs in the folder of runs, the newest first."""
    cards = [_card(path.parent) for path in below.glob(f"*/{RECORD}")] if below.is_dir() else []
    return sorted(cards, key=lambda card: (card.written, card.name), reverse=True)[:MOST_SHOWN]


def cards_html(cards: Sequence[RunCard], below: Path) -> str:
    """Write the cards; whatever names hold is text."""
    if not cards:
        return (
            "<p>When you train a method of your own, or compare methods, from a terminal, pictures of how far it is grow here. "
            "Begin with <code>chimera fuser train gan</code> or <code>chimera compare</code>; "
            f"the page looks into {html.escape(str(below))}.</p>"
        )
    return f'<div class="runs">{"".join(map(_article, cards))}</div>'


def file_of_run(below: Path, name: str) -> tuple[Path, str] | None:
    """Find a picture or report below the folder of runs, and its type; None where there is none to be served.

    Args:
        name: ``RUN/samples/3.png``, as an address gives it.
    """
    try:
        path = inside(below, name)  # refuses what goes up, is absolute, or leads out by a link
        if not path.is_file() or path.is_symlink() or not (below / Path(name).parts[0] / RECORD).is_file():
            return None
    except (ChimeraError, OSError, ValueError, IndexError):
        return None
    if path.name == _REPORT:
        return path, "text/html; charset=utf-8"
    kind = _PICTURES.get(path.suffix.lower())
    return None if kind is None else (path, kind)


def _card(folder: Path) -> RunCard:
    try:
        record = read_run_record(folder)
    except ChimeraError:
        return RunCard(folder.name, "", "damaged", None, "", "", (), "", 0)
    pictures = [p for p in (folder / "progress.png",) if p.is_file()]
    samples = sorted((p for p in folder.glob("samples/*.png")), key=lambda p: p.stat().st_mtime_ns)
    pictures += samples[-1:]
    if not pictures:
        pictures = sorted(folder.glob("*.png"))[:1]
    images, source = record.get("images"), record.get("source")
    return RunCard(
        folder.name,
        str(record.get("kind") or "run"),
        run_status(folder, record),
        images if isinstance(images, int) else None,
        source if isinstance(source, str) else "",
        str(record.get("written") or ""),
        tuple(p.relative_to(folder).as_posix() for p in pictures),
        _REPORT if (folder / _REPORT).is_file() else "",
        max((p.stat().st_mtime_ns for p in pictures), default=0),
    )


def _article(card: RunCard) -> str:
    facts = [card.kind, card.status]
    if card.images is not None:
        facts.append(f"{card.images:,} images")
    if card.source:
        facts.append(f"on {card.source}")
    if card.written:
        facts.append(card.written[:16].replace("T", " "))
    parts = [f"<h3>{html.escape(card.name)}</h3>", f"<p>{html.escape(' · '.join(facts))}</p>"]
    if card.report:
        parts.append(
            f'<p><a href="{_address(card, card.report)}" target="_blank" rel="noopener">Open the report</a></p>'
        )
    for picture in card.pictures:
        alt = html.escape(f"{picture} of {card.name}", quote=True)
        parts.append(f'<img loading="lazy" src="{_address(card, picture)}?{card.changed}" alt="{alt}">')
    return f"<article>{''.join(parts)}</article>"


def _address(card: RunCard, name: str) -> str:
    return html.escape(f"/runs/{url_quote(card.name)}/{url_quote(name)}", quote=True)
