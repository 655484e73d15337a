"""The pictures of a report: small enough that all of them fit into one page."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.errors import DataError
from chimera_core.files.atomic import leads_out
from chimera_core.files.own_folders import inside
from chimera_core.images import read_picture
from chimera_core.report.record import CellRecord, ComparisonRecord, Measured, Tuple, weight_key

if TYPE_CHECKING:
    from PIL import Image

BUDGET_BYTES = 60_000_000
"""All pictures together, before base64 adds a third: 50,000 photographs at 64 px (benchmarks/report.py opens them)."""

_LARGEST = 192  # on the page a picture is 110 to 190 CSS pixels wide
# From the best down: (shorter side in pixels, WebP quality, most seeds). Seeds go before pixels that one would miss.
_LADDER = (
    (192, 85, None),
    (128, 82, None),
    (96, 78, None),
    (96, 75, 3),
    (64, 75, 3),
    (96, 75, 1),
    (64, 75, 1),
    (64, 45, 1),
    (48, 45, 1),
)


@dataclass(frozen=True)
class Embedding:
    """How pictures go into the page.

    Args:
        side: the shorter side in pixels, at most; nothing is enlarged.
        quality: of WebP, 0 to 100.
        seeds: those whose pictures are in the page; the files of all lie beside it.
    """

    side: int
    quality: int
    seeds: tuple[int, ...]


def choose_embedding(folder: Path, comparison: ComparisonRecord, *, budget: int = BUDGET_BYTES) -> Embedding:
    """Find the best pictures that fit the budget, from what 48 of them take; the least if none does."""
    seeds = tuple(comparison.seeds)
    drawn = [cell.image for cell in comparison.cells if cell.image is not None]
    sample = drawn[:: max(1, len(drawn) // 48)]
    chosen = Embedding(_LARGEST, 85, seeds)
    for side, quality, most in _LADDER:
        chosen = Embedding(side, quality, seeds[:most])
        sizes = [len(data) for path in sample if (data := _try_encode(folder, path, chosen)) is not None]
        count = len(drawn) * len(chosen.seeds) / max(1, len(seeds))
        if not sizes or count * sum(sizes) / len(sizes) <= budget:
            break
    return chosen


def tuple_blocks(
    folder: Path, comparison: ComparisonRecord, embedding: Embedding
) -> Iterator[dict[str, Any]]:
    """Give for each tuple what the page needs of it, one at a time: 50,000 pictures need not be in memory at once.

    Returns:
        An iterator of JSON-ready tables: ``parents`` (base64 of WebP, or null), ``weights``, and for each seed,
        weights and fuser (by rank) ``tiles`` (base64 or null) and ``facts``: null where there is no cell,
        ``status`` and ``reason`` of a failure, or the metrics in the order of ``metric_names``: a number, or where
        there is none the place of its reason in ``reasons``, as a str.
    """
    names = metric_names(comparison)
    fusers = {fuser.id: place for place, fuser in enumerate(comparison.by_rank)}
    # Pillow lets go of the interpreter while it decodes and encodes.
    with ThreadPoolExecutor(max_workers=4) as pool:
        for tuple_ in comparison.tuples:
            sweep = comparison.sweep_of(tuple_)
            at = {
                (cell.seed, weight_key(cell.weights), fusers[cell.fuser]): cell
                for cell in comparison.cells_of(tuple_)
            }
            cells = [
                at.get((seed, weights, f))
                for seed in embedding.seeds
                for weights in sweep
                for f in range(len(fusers))
            ]
            reasons: dict[str, int] = {}
            tiles = list(pool.map(lambda cell: _tile(folder, cell, embedding), cells))
            yield {
                "parents": [_parent(folder, tuple_, i, embedding) for i in range(len(tuple_.labels))],
                "weights": [list(weights) for weights in sweep],
                "tiles": [data for data, _ in tiles],
                "facts": [
                    _facts(cell, trouble, names, reasons)
                    for cell, (_, trouble) in zip(cells, tiles, strict=True)
                ],
                "reasons": list(reasons),
            }


def metric_names(comparison: ComparisonRecord) -> list[str]:
    """Name what was measured of single creatures, headline first."""
    met = dict.fromkeys(name for cell in comparison.cells for name in cell.metrics)
    first = [name for name in ("score", "fused", "realism") if name in met]
    return [*first, *(name for name in met if name not in first)]


def missing_pictures(folder: Path, comparison: ComparisonRecord) -> list[str]:
    """Name the files that should be there and are not."""
    named = [cell.image for cell in comparison.cells] + [path for t in comparison.tuples for path in t.images]
    return [path for path in named if path is not None and not _is_there(folder, path)]


def read_scaled(folder: Path, name: str, side: int) -> Image.Image:
    """Read an image of a run, on white where it is transparent, with its shorter side at most ``side``.

    Raises:
        DataError: as ``read_picture``, and if it is a link out of the run: a report that travels must not carry the
            reader's files.
    """
    from PIL import Image

    image = Image.fromarray(read_picture(inside(folder, name)).on_white())
    scale = side / min(image.size)
    if scale < 1:
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
            Image.Resampling.LANCZOS,
        )
    return image


def _is_there(folder: Path, name: str) -> bool:
    return (folder / name).is_file() and not leads_out(folder / name, folder)


def _encode(folder: Path, name: str, embedding: Embedding) -> bytes:
    buffer = io.BytesIO()
    read_scaled(folder, name, embedding.side).save(buffer, "WEBP", quality=embedding.quality, method=4)
    return buffer.getvalue()


def _try_encode(folder: Path, name: str, embedding: Embedding) -> bytes | None:
    try:
        return _encode(folder, name, embedding)
    except DataError:
        return None


def _base64(folder: Path, name: str, embedding: Embedding) -> tuple[str | None, str | None]:
    """Return the picture, or what is wrong with its file: one lost file must not cost the whole report."""
    try:
        return base64.b64encode(_encode(folder, name, embedding)).decode("ascii"), None
    except DataError as error:
        return None, str(error).replace(f"{folder}{os.sep}", "")


def _tile(folder: Path, cell: CellRecord | None, embedding: Embedding) -> tuple[str | None, str | None]:
    return (None, None) if cell is None or cell.image is None else _base64(folder, cell.image, embedding)


def _parent(folder: Path, tuple_: Tuple, index: int, embedding: Embedding) -> str | None:
    path = tuple_.images[index] if index < len(tuple_.images) else None
    return None if path is None else _base64(folder, path, embedding)[0]


def _facts(cell: CellRecord | None, trouble: str | None, names: list[str], reasons: dict[str, int]) -> Any:
    """Say in one JSON value what is known of a cell; what is new among the reasons is added to them."""
    if cell is None:
        return None
    if cell.status != "ok":
        return {"status": cell.status, "reason": cell.error or f"{cell.status} without a reason"}
    if cell.image is None or trouble:
        return {"status": "failed", "reason": trouble or "there is no picture"}
    figures: list[float | str] = []
    for name in names:
        measured = cell.metrics.get(name, _NOT_MEASURED)
        if measured.value is None:
            figures.append(str(reasons.setdefault(measured.reason or "no reason given", len(reasons))))
        else:
            figures.append(float(f"{measured.value:.4g}"))
    return figures


_NOT_MEASURED = Measured(reason="not measured")
