"""Draw captioned contact sheets: the demo's grid, previews, sweep strips."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chimera_core.errors import ShapeError
from chimera_core.images import check_pixels

if TYPE_CHECKING:
    from PIL import ImageFont

    from chimera_core.images.upright import UInt8


def grid(
    tiles: Sequence[Sequence[UInt8 | None]],
    *,
    captions: Sequence[Sequence[str]] = (),
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    pad: int = 12,
    background: tuple[int, int, int] = (255, 255, 255),
    centred: bool = False,
) -> UInt8:
    """Draw a contact sheet: tiles centred in equal cells, each with its caption below.

    The cell is as large as the widest and the tallest tile. Text too long for its cell ends in an
    ellipsis. The font (Pillow's own, alike everywhere) has ASCII letters only: accents are dropped,
    other letters become "?".

    Args:
        tiles: rows of uint8 (H, W, 3), not resized; None leaves a cell empty, rows may be shorter.
        captions: rows of text like ``tiles``; missing or empty ones draw nothing.
        column_titles: text above the columns.
        row_titles: text left of the rows.
        pad: pixels between cells and around the sheet.
        background: colour, each 0 to 255.
        centred: put shorter rows into the middle, as those of a triangle.
    Returns:
        uint8 (H, W, 3).
    Raises:
        ShapeError: if no tile is given, or one has another shape or dtype.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    drawn = [tile for row in tiles for tile in row if tile is not None]
    if not drawn:
        raise ShapeError("a grid of no tiles: pass at least one")
    for index, tile in enumerate(drawn):
        check_pixels(tile, f"tile {index}", channels=(3,))
    cell_h, cell_w = max(tile.shape[0] for tile in drawn), max(tile.shape[1] for tile in drawn)
    columns = max(len(row) for row in tiles)

    font = _font(cell_w)
    ascent, descent = font.getmetrics()
    line_h = ascent + descent
    gap = max(pad // 3, 2)
    caption_h = gap + line_h + gap if any(text for row in captions for text in row) else 0
    titles = [_fitted(text, font, max(cell_w, 8 * line_h)) for text in row_titles[: len(tiles)]]
    left = pad + (pad + math.ceil(max(map(font.getlength, titles))) if any(titles) else 0)
    top = pad + (gap + line_h if any(column_titles) else 0)
    step_w, step_h = cell_w + pad, cell_h + caption_h + pad

    sheet = Image.new("RGB", (left + columns * step_w, top + len(tiles) * step_h), background)
    draw = ImageDraw.Draw(sheet)

    def write(text: str, x: float, y: float, anchor: str, colour: tuple[int, int, int]) -> None:
        draw.text((x, y), text, fill=colour, font=font, anchor=anchor)

    for column, text in enumerate(column_titles[:columns]):
        write(_fitted(text, font, cell_w), left + column * step_w + cell_w / 2, pad, "ma", _TITLE)
    for row, text in enumerate(titles):
        write(text, left - pad, top + row * step_h + cell_h / 2, "rm", _TITLE)
    for row, line in enumerate(tiles):
        for column, cell in enumerate(line):
            indent = (columns - len(line)) * step_w // 2 if centred else 0
            x, y = left + indent + column * step_w, top + row * step_h
            if cell is not None:
                h, w = cell.shape[:2]
                sheet.paste(Image.fromarray(cell), (x + (cell_w - w) // 2, y + (cell_h - h) // 2))
            if row < len(captions) and column < len(captions[row]):
                text = _fitted(captions[row][column], font, cell_w)
                write(text, x + cell_w / 2, y + cell_h + gap, "ma", _CAPTION)
    return np.array(sheet)


_TITLE = (30, 30, 30)
_CAPTION = (85, 85, 85)


def _font(cell_w: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    # About 25 letters a cell, but legible under 64-pixel tiles and not loud under large ones.
    font = ImageFont.load_default(min(max(round(cell_w / 14), 11), 26))
    assert isinstance(font, ImageFont.FreeTypeFont)  # the other kind is for Pillow without FreeType
    return font


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return the text in letters of the font, cut with an ellipsis to ``width`` pixels."""
    line = _drawable(" ".join(str(text)[:500].split()), font)
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1].rstrip()
    return line + "…" if line else ""


def _drawable(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Replace letters that the font would draw as an empty box: ž by z, 猫 by ?."""
    # U+FFFE is never a letter, so its picture is the box.
    box = bytes(font.getmask("\ufffe"))

    def known(letter: str) -> str:
        if not letter.isprintable():
            return "?"
        if letter == " " or bytes(font.getmask(letter)) != box:
            return letter
        plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
        return plain or ("" if unicodedata.combining(letter) else "?")

    return "".join(known(letter) for letter in unicodedata.normalize("NFC", text))
