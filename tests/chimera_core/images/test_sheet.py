from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageDraw

from chimera_core.errors import ShapeError
from chimera_core.images.sheet import grid


def test_a_bare_grid_is_tiles_and_padding():
    red, blue = np.full((4, 6, 3), (255, 0, 0), np.uint8), np.full((4, 6, 3), (0, 0, 255), np.uint8)
    sheet = grid([[red, blue]], pad=2)
    assert sheet.shape == (2 + 4 + 2, 2 + 6 + 2 + 6 + 2, 3)
    np.testing.assert_array_equal(sheet[2:6, 2:8], red)
    np.testing.assert_array_equal(sheet[2:6, 10:16], blue)
    sheet[2:6, 2:8] = sheet[2:6, 10:16] = 255
    assert (sheet == 255).all()


def test_smaller_tiles_are_centred_and_missing_ones_left_empty():
    large, small = np.zeros((40, 40, 3), np.uint8), np.zeros((20, 10, 3), np.uint8)
    sheet = grid([[large, small], [None], []], pad=4, background=(9, 9, 9))
    assert sheet.shape == (4 + 3 * 44, 4 + 2 * 44, 3)
    np.testing.assert_array_equal(sheet[4 + 10 : 4 + 30, 48 + 15 : 48 + 25], small)
    assert (sheet[44:] == 9).all()


def test_captions_stay_below_their_tile_and_inside_their_cell():
    tiles = [[np.full((64, 64, 3), 255, np.uint8)] * 3]
    sheet = grid(tiles, captions=[["", "a very long caption " * 5, ""]], pad=10)
    ink = np.argwhere(sheet.min(axis=2) < 200)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert top >= 10 + 64
    assert bottom < sheet.shape[0] - 5
    assert left >= 10 + 74 - 1 and right <= 10 + 74 + 64


def test_titles_take_room_above_and_left():
    tiles = [[np.zeros((64, 64, 3), np.uint8)] * 2] * 2
    bare = grid(tiles)
    titled = grid(tiles, column_titles=["fox", "cat"], row_titles=["0.5", "1.0"])
    assert titled.shape[0] > bare.shape[0] and titled.shape[1] > bare.shape[1]
    np.testing.assert_array_equal(titled[-bare.shape[0] + 12 :, -bare.shape[1] + 12 :], bare[12:, 12:])


def test_letters_outside_the_font_do_not_crash_or_show_boxes(monkeypatch: pytest.MonkeyPatch):
    written: list[str] = []
    real = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, xy, text, **k: (written.append(text), real(self, xy, text, **k)),
    )
    tile = np.zeros((200, 200, 3), np.uint8)
    names = ["žába", "猫 cat", "café", "e\u0301", "a\nb\x1b\udcff", "🦊", ""]
    grid([[tile] * 7], captions=[names], row_titles=["مرحبا"])
    assert written[1:] == ["zaba", "? cat", "cafe", "e", "a b??", "?", ""]


def test_a_grid_needs_tiles_of_colour():
    with pytest.raises(ShapeError, match="no tiles"):
        grid([[None]])
    with pytest.raises(ShapeError, match=r"tile 0 is uint8 \(4, 4\): pass a uint8 array \(H, W, 3\)"):
        grid([[np.zeros((4, 4), np.uint8)]])
