"""``sheet.png``: parents and creatures of a comparison as one picture, for slides and chats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chimera_core.errors import DataError
from chimera_core.images.sheet import grid
from chimera_core.report.pictures import read_scaled
from chimera_core.report.record import ComparisonRecord, Tuple, weight_key

if TYPE_CHECKING:
    from chimera_core.images.upright import UInt8

MOST_ROWS, MOST_FUSERS, TILE = 24, 16, 128


def draw_sheet(folder: Path, comparison: ComparisonRecord) -> UInt8:
    """Draw a row for each tuple: its parents, then each fuser's creature of the middle weights and first seed.

    At most ``MOST_ROWS`` tuples and the ``MOST_FUSERS`` that rank best, so that the picture stays one that opens.

    Returns:
        uint8 (H, W, 3). What failed is an empty cell that says so.
    """
    import numpy as np

    fusers = comparison.by_rank[:MOST_FUSERS]
    tuples = comparison.tuples[:MOST_ROWS]
    parents = max((len(tuple_.labels) for tuple_ in tuples), default=2)
    rows, captions = [], []
    for tuple_ in tuples:
        tiles, texts = _row(
            folder, comparison, tuple_, parents=parents, fusers=[fuser.id for fuser in fusers]
        )
        rows.append(tiles)
        captions.append(texts)
    if not any(tile is not None for row in rows for tile in row):
        rows, captions = [*rows, [np.full((TILE, TILE, 3), 255, np.uint8)]], [*captions, ["no pictures"]]
    titles = [*(f"parent {index + 1}" for index in range(parents)), *(fuser.label for fuser in fusers)]
    return grid(rows, captions=captions, column_titles=titles)


def _row(
    folder: Path, comparison: ComparisonRecord, tuple_: Tuple, *, parents: int, fusers: list[str]
) -> tuple[list[UInt8 | None], list[str]]:
    paths = [tuple_.images[i] if i < len(tuple_.images) else None for i in range(parents)]
    tiles = [_tile(folder, path) for path in paths]
    captions = [*tuple_.labels, *[""] * (parents - len(tuple_.labels))]
    sweep = comparison.sweep_of(tuple_)
    middle = sweep[len(sweep) // 2] if sweep else ()
    seed = comparison.seeds[0] if comparison.seeds else 0
    at = {
        cell.fuser: cell
        for cell in comparison.cells_of(tuple_)
        if cell.seed == seed and weight_key(cell.weights) == middle
    }
    for fuser in fusers:
        cell = at.get(fuser)
        tile = _tile(folder, cell.image) if cell is not None and cell.status == "ok" else None
        tiles.append(tile)
        share = " : ".join(f"{100 * weight:.0f}" for weight in middle)
        captions.append(
            share
            if tile is not None
            else ""
            if cell is None
            else cell.status
            if cell.status != "ok"
            else "no picture"
        )
    return tiles, captions


def _tile(folder: Path, path: str | None) -> UInt8 | None:
    import numpy as np

    if path is None:
        return None
    try:
        image = read_scaled(folder, path, TILE)
    except DataError:
        return None
    # Wide photographs would make every cell wide.
    image.thumbnail((TILE, TILE))
    return np.asarray(image, dtype=np.uint8)
