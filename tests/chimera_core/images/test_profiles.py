"""Colours are read as the file means them: in sRGB, whatever space it was written in."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from chimera_core.images import profiles, read_mask, read_picture
from chimera_core.images.spaces import ADOBE_RGB, D65, SRGB, Chromaticities, matrix_profile

P3: Chromaticities = (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
PROPHOTO: Chromaticities = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
SPACES = {"p3": (P3, 2.2), "adobe-rgb": (ADOBE_RGB, 563 / 256), "prophoto": (PROPHOTO, 1.8)}

# From linear sRGB to linear values of the space, by the published matrices (Lindbloom; Bradford where the white differs).
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
FROM_XYZ = {
    "p3": np.array(
        [
            [2.4934969, -0.9313836, -0.4027108],
            [-0.8294890, 1.7626641, 0.0236247],
            [0.0358458, -0.0761724, 0.9568845],
        ]
    ),
    "adobe-rgb": np.array(
        [
            [2.0413690, -0.5649464, -0.3446944],
            [-0.9692660, 1.8760108, 0.0415560],
            [0.0134474, -0.1183897, 1.0154096],
        ]
    ),
    "prophoto": np.array(
        [
            [1.3459433, -0.2556075, -0.0511118],
            [-0.5445989, 1.5081673, 0.0205351],
            [0.0, 0.0, 1.2118128],
        ]
    )
    @ np.array(
        [
            [1.0478112, 0.0228866, -0.0501270],
            [0.0295424, 0.9904844, -0.0170491],
            [-0.0092345, 0.0150436, 0.7521316],
        ]
    ),
}


@pytest.fixture(autouse=True)
def forget_warnings() -> None:
    profiles._warned.clear()


def chart() -> np.ndarray:
    """Colours of sRGB on a grid, bright enough that 8 bits of a wide space lose little: uint8 (16, 16, 3)."""
    dice = np.random.default_rng(0)
    blocks = dice.integers(60, 246, (4, 4, 3), dtype=np.uint8)
    return blocks.repeat(4, axis=0).repeat(4, axis=1)


def written_in(space: str, pixels: np.ndarray) -> np.ndarray:
    """Write sRGB pixels as numbers of another space, by the formulas."""
    linear = np.where(pixels / 255 <= 0.04045, pixels / 255 / 12.92, ((pixels / 255 + 0.055) / 1.055) ** 2.4)
    values = np.clip(linear @ (FROM_XYZ[space] @ TO_XYZ).T, 0, 1) ** (1 / SPACES[space][1])
    return np.rint(values * 255).astype(np.uint8)


def grey_profile(gamma: float) -> bytes:
    return icc(b"GRAY", b"XYZ ", {b"wtpt": xyz(), b"kTRC": b"para" + bytes(8) + fixed(gamma)})


def ink_profile() -> bytes:
    """A press whose cyan ink looks orange, so that nobody takes its numbers for plain CMYK."""
    nodes = b""
    for cyan in (0, 1):
        for magenta in (0, 1):
            for yellow in (0, 1):
                for black in (0, 1):
                    light = 255 * (1 - black) * (1 - 0.3 * cyan) * (1 - 0.4 * magenta) * (1 - 0.05 * yellow)
                    nodes += bytes(
                        [round(light), 128 + 50 * cyan * (1 - black), 128 + 60 * cyan * (1 - black)]
                    )
    straight = bytes(range(256))
    body = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + b"".join(map(fixed, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    body += straight * 4 + nodes + straight * 3
    return icc(b"CMYK", b"Lab ", {b"wtpt": xyz(), b"A2B0": body, b"A2B1": body}, kind=b"prtr", version=2)


def icc(
    space: bytes, pcs: bytes, tags: Mapping[bytes, bytes], *, kind: bytes = b"mntr", version: int = 4
) -> bytes:
    at, table, data = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += struct.pack(">4sII", name, at + len(data), len(body))
        data += body
    head = struct.pack(">I4sI4s4s4s", at + len(data), b"", version << 24, kind, space, pcs)
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + table + data


def xyz() -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(pixels: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG with more chunks in front of its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    return data[:33] + b"".join(chunks) + data[33:]


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


# Profiles that are applied


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.png", {}, 4),
        ("a.tif", {}, 4),
        ("a.webp", {"lossless": True}, 4),
        ("a.jpg", {"quality": 100, "subsampling": 0}, 9),
        ("a.avif", {"quality": 100, "subsampling": "4:4:4"}, 9),
    ],
)
def test_colours_of_a_wide_space_come_back_as_in_srgb(
    tmp_path: Path, space: str, name: str, options: dict[str, Any], tolerance: int
) -> None:
    stored = written_in(space, chart())
    assert distance(stored, chart()) > 20  # else nothing would be shown
    Image.fromarray(stored).save(tmp_path / name, icc_profile=matrix_profile(*SPACES[space]), **options)
    assert distance(read_picture(tmp_path / name).rgb, chart()) <= tolerance


def test_alpha_and_turning_stay_as_they_are(tmp_path: Path) -> None:
    stored = np.dstack([written_in("p3", chart()), np.arange(256, dtype=np.uint8).reshape(16, 16)])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.png", icc_profile=matrix_profile(*SPACES["p3"]), exif=exif)
    picture = read_picture(tmp_path / "a.png")
    assert distance(picture.rgb, np.rot90(chart(), -1)) <= 4
    np.testing.assert_array_equal(picture.alpha, np.rot90(stored[:, :, 3], -1))


def test_a_palette_is_converted_with_its_transparency(tmp_path: Path) -> None:
    stored = Image.fromarray(written_in("p3", chart())).quantize(256)
    profile = matrix_profile(*SPACES["p3"])
    stored.save(tmp_path / "a.png", icc_profile=profile, transparency=bytes([0]) + b"\xff" * 255)
    picture = read_picture(tmp_path / "a.png")
    assert distance(picture.rgb, chart()) <= 6
    assert picture.alpha is not None and set(np.unique(picture.alpha)) == {0, 255}


def test_sixteen_bits_a_channel_are_converted_too(tmp_path: Path) -> None:
    stored = written_in("adobe-rgb", chart()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in stored)
    packed = zlib.compress(matrix_profile(*SPACES["adobe-rgb"]))
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
        + chunk(b"iCCP", b"k\0\0" + packed)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(data)
    assert distance(read_picture(tmp_path / "a.png").rgb, chart()) <= 4


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_the_first_frame_of_an_animation_is_converted(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(written_in("p3", chart())), Image.new("RGB", (16, 16))]
    options = {"lossless": True} if name == "a.webp" else {}
    profile = matrix_profile(*SPACES["p3"])
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], icc_profile=profile, **options)
    assert distance(read_picture(tmp_path / name).rgb, chart()) <= 4


def test_grey_is_read_by_its_own_profile_at_either_depth(tmp_path: Path) -> None:
    # Linear grey of one half is 188 in sRGB.
    profile = grey_profile(1.0)
    grey = np.full((4, 4), 128, np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=profile)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "b.png", icc_profile=profile)
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(grey // 2)]).save(
        tmp_path / "c.png", icc_profile=profile
    )
    for name in ("a.png", "b.png", "c.png"):
        picture = read_picture(tmp_path / name)
        assert picture.rgb.shape == (4, 4, 3)
        assert distance(picture.rgb, np.full((4, 4, 3), 188)) <= 1, name
    assert picture.alpha is not None and (picture.alpha == 64).all()


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk_is_read_by_its_profile(tmp_path: Path, name: str) -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    cyan.save(tmp_path / name)
    red, _, blue = read_picture(tmp_path / name).rgb[8, 8]
    assert red < 40 and blue > 200  # without a profile: plain cyan
    cyan.save(tmp_path / name, icc_profile=ink_profile())
    red, green, blue = read_picture(tmp_path / name).rgb[8, 8]
    assert red > 200 and green < red and blue < 120  # Lab 70, 50, 60 is orange
    Image.new("CMYK", (16, 16), (0, 0, 0, 255)).save(tmp_path / name, icc_profile=ink_profile())
    assert read_picture(tmp_path / name).rgb[8, 8].max() <= 12


# What is sRGB already


@pytest.mark.parametrize(
    "profile",
    [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b""],
    ids=["its own profile", "none"],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_in_srgb_keeps_its_very_bytes(tmp_path: Path, profile: bytes, mode: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, len(mode)), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", **({"icc_profile": profile} if profile else {}))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").rgb, pixels[:, :, :3])


# Profiles that cannot be used


def broken_profiles() -> dict[str, tuple[str, bytes]]:
    """A picture's mode and a profile that does not serve it, by what the warning says."""
    good = matrix_profile(*SPACES["p3"])
    claims = icc(b"RGB ", b"Lab ", {b"A2B0": b"mft2\0\0\0\0" + bytes([3, 3, 255, 0]) + bytes(100)}, version=2)
    return {
        "is broken (it is incomplete)": ("RGB", b"not a profile"),
        "is broken (its table is cut short)": ("RGB", good[:140]),
        "is broken (a table is cut short)": ("RGB", claims),
        "is broken (cannot build": ("RGB", good[:132] + bytes(len(good) - 132)),
        "is of another kind (CMYK) than the picture (RGB)": ("RGB", ink_profile()),
        "is of another kind (RGB) than the picture (CMYK)": ("CMYK", good),
        "is too large (5 MiB": ("RGB", good + bytes(5 << 20)),
    }


@pytest.mark.parametrize("words", broken_profiles())
def test_a_profile_that_cannot_be_used_costs_one_warning_not_the_picture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    mode, profile = broken_profiles()[words]
    image = Image.fromarray(chart()).convert(mode)
    image.save(tmp_path / "plain.tif")
    for name in ("a.tif", "b.tif"):
        image.save(tmp_path / name, icc_profile=profile)
    with caplog.at_level(logging.WARNING):
        for name in ("a.tif", "b.tif"):
            np.testing.assert_array_equal(
                read_picture(tmp_path / name).rgb, read_picture(tmp_path / "plain.tif").rgb
            )
    (line,) = [record.getMessage() for record in caplog.records]  # once for one profile, not for each file
    assert "a.tif': its colour profile " + words in line and line.endswith(": read as sRGB")
    assert line.isprintable()


@pytest.mark.parametrize("packed", [zlib.compress(bytes(20_000_000)), b"no zlib", zlib.compress(b"short")])
def test_a_png_whose_profile_does_not_unpack_is_read_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, packed: bytes
) -> None:
    (tmp_path / "a.png").write_bytes(with_chunks(chart(), chunk(b"iCCP", b"k\0\0" + packed)))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").rgb, chart())
    assert len(caplog.records) == 1


@pytest.mark.slow
def test_mutated_profiles_are_pictures(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    made = [matrix_profile(*SPACES["p3"]), ink_profile(), grey_profile(1.8)]
    modes, read = ["RGB", "CMYK", "L"], 0
    for index in range(300):
        profile = bytearray(made[index % 3])
        for at in dice.integers(0, min(len(profile), 400), dice.integers(1, 8)):
            profile[at] = dice.integers(256)
        Image.fromarray(chart()).convert(modes[index % 3]).save(
            tmp_path / "a.tif", icc_profile=bytes(profile)
        )
        read += read_picture(tmp_path / "a.tif").rgb.shape == (16, 16, 3)
    assert read == 300


# What is no profile


def test_a_png_of_linear_light_is_read_by_its_gamma(tmp_path: Path) -> None:
    linear = np.full((4, 4, 3), 128, np.uint8)
    (tmp_path / "a.png").write_bytes(with_chunks(linear, chunk(b"gAMA", struct.pack(">I", 100_000))))
    assert distance(read_picture(tmp_path / "a.png").rgb, np.full((4, 4, 3), 188)) <= 1


def test_a_png_is_read_by_its_primaries(tmp_path: Path) -> None:
    space = struct.pack(">8I", *(round(value * 100_000) for value in ADOBE_RGB))
    chunks = [chunk(b"gAMA", struct.pack(">I", 45_455)), chunk(b"cHRM", space)]
    (tmp_path / "a.png").write_bytes(with_chunks(written_in("adobe-rgb", chart()), *chunks))
    assert distance(read_picture(tmp_path / "a.png").rgb, chart()) <= 5


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", (45_455,))],
        [(b"gAMA", (45_455,)), (b"cHRM", tuple(round(value * 100_000) for value in SRGB))],
        [(b"gAMA", (100_000,)), (b"sRGB", ())],
        [(b"gAMA", (0,))],
        [(b"gAMA", (1,))],
        [(b"gAMA", (100_000,)), (b"cHRM", (0,) * 8)],
        [(b"gAMA", (100_000,)), (b"cHRM", (33_000,) * 8)],
        [(b"cHRM", (4_294_967_295,) * 8)],
    ],
)
def test_a_png_that_names_srgb_or_nonsense_keeps_its_bytes(tmp_path: Path, chunks: list[Any]) -> None:
    made = [chunk(kind, struct.pack(f">{len(v)}I", *v) or b"\0") for kind, v in chunks]
    (tmp_path / "a.png").write_bytes(with_chunks(chart(), *made))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").rgb, chart())


def test_a_cameras_photograph_in_adobe_rgb_needs_no_profile(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 0xFFFF, 0xA005: {1: "R03"}}
    image = Image.fromarray(written_in("adobe-rgb", chart()))
    image.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert distance(read_picture(tmp_path / "a.jpg").rgb, chart()) <= 9
    exif[0x8769] = {0xA001: 1, 0xA005: {1: "R98"}}
    image.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert distance(read_picture(tmp_path / "a.jpg").rgb, chart()) > 15


def test_a_masks_values_count_as_they_are_stored(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 128).save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
    assert (read_mask(tmp_path / "a.png") == 128).all()
