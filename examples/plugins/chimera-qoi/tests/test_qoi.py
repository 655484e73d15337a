"""Tests of the reader: first the laws that all readers keep, then what this one does."""

from pathlib import Path

import numpy as np
import pytest
from chimera_core.api import DataError, read_picture
from chimera_core.testing import Law, check_reader, parametrize_with_laws

from chimera_qoi.checking import draw_pictures, encode, write_pictures
from chimera_qoi.plugin import QoiConfig
from chimera_qoi.reader import HEADER, Qoi


@parametrize_with_laws(check_reader(lambda: Qoi(QoiConfig()), write=write_pictures))
def test_it_keeps_the_laws_of_a_reader(law: Law) -> None:
    law()


@pytest.mark.parametrize("name", ["large", "small"])
def test_pictures_come_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    pixels = draw_pictures()[name]
    file = tmp_path / "a.qoi"
    file.write_bytes(encode(pixels))
    np.testing.assert_array_equal(Qoi(QoiConfig()).read(file), pixels)


def test_every_kind_of_chunk_is_read_by_hand(tmp_path: Path) -> None:
    # RGB (10, 20, 30); DIFF +1 0 -1; LUMA green +5, red +7, blue +3; a RUN of 2; INDEX of the first; RGBA.
    chunks = [0xFE, 10, 20, 30, 0x79, 0xA5, 0xA6, 0xC1, (30 + 100 + 210 + 11 * 255) % 64, 0xFF, 1, 2, 3, 4]
    file = tmp_path / "a.qoi"
    file.write_bytes(HEADER.pack(b"qoif", 7, 1, 4, 0) + bytes(chunks))
    first, second, third = (10, 20, 30, 255), (11, 20, 29, 255), (18, 25, 32, 255)
    expected = [first, second, third, third, third, first, (1, 2, 3, 4)]
    assert [tuple(pixel) for pixel in Qoi(QoiConfig()).read(file)[0].tolist()] == expected


def test_the_toolkit_reads_it_and_names_what_is_broken(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    assert read_picture(tmp_path / "large.qoi").rgb.shape == (240, 320, 3)
    (tmp_path / "cut.qoi").write_bytes((tmp_path / "large.qoi").read_bytes()[:100])
    with pytest.raises(DataError, match=r"cut\.qoi' cannot be read by image reader qoi:qoi of chimera-qoi"):
        read_picture(tmp_path / "cut.qoi")
