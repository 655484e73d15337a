"""Colour spaces that a file names without a profile: profiles made for them."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue, as CIE 1931 counts them; the order is PNG's."""

D65 = (0.3127, 0.3290)
SRGB: Chromaticities = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE_RGB: Chromaticities = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_GAMMA = 563 / 256
_SRGB_GAMMA = 2.2
# Programs write rounded numbers; libpng takes such a gamma for sRGB's, too.
_GAMMA_TOLERANCE, _PRIMARIES_TOLERANCE = 0.05, 0.01


def png_space(info: Mapping[Any, Any]) -> bytes | None:
    """Make a profile of what a PNG says of its colours by gAMA and cHRM; None if that is sRGB or nothing."""
    if "srgb" in info or "gamma" not in info:
        return None
    try:
        gamma = 1 / float(info["gamma"])
        given = info.get("chromaticity", SRGB)
        primaries: Chromaticities = tuple(map(float, given))  # type: ignore[assignment]
        is_plain = abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE
        is_srgb = all(abs(x - y) <= _PRIMARIES_TOLERANCE for x, y in zip(primaries, SRGB, strict=True))
        if (is_plain and is_srgb) or not 0.2 <= gamma <= 5:
            return None
        return matrix_profile(primaries, gamma)
    except (ArithmeticError, TypeError, ValueError):  # numbers that no space has
        return None


def adobe_rgb(image: Image.Image) -> bytes | None:
    """Make the profile of Adobe RGB where a camera says R03 in its EXIF and embeds none; else None.

    Source: DCF 2.0, the optional colour space.
    """
    if image.mode != "RGB":
        return None
    try:
        exif = image.getexif()
        if 0x8769 not in exif:
            return None
        letter = exif.get_ifd(0xA005).get(1)
    except Exception:  # a decoder border: damaged metadata should not cost the picture
        return None
    return matrix_profile(ADOBE_RGB, ADOBE_GAMMA) if str(letter).strip("\0 ") == "R03" else None


@functools.lru_cache(maxsize=8)
def matrix_profile(chromaticities: Chromaticities, gamma: float) -> bytes:
    """Make an ICC profile of a space with three primaries.

    Args:
        chromaticities: of white, red, green and blue.
        gamma: what pixel values are raised to.
    Raises:
        ArithmeticError: if these primaries span no colours.
    Source: ICC.1:2022, sections 7 to 10; Bradford's adaptation to D50, annex E.
    """
    import numpy as np

    white, *primaries = (
        np.array([x / y, 1, (1 - x - y) / y])
        for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    )
    space = np.stack(primaries, axis=1)
    if abs(np.linalg.det(space)) < 1e-4:
        raise ArithmeticError("the primaries lie on a line")
    space = space * np.linalg.solve(space, white)
    bradford = np.array(_BRADFORD)
    to_d50 = np.linalg.solve(bradford, np.diag(bradford @ _D50 / (bradford @ white)) @ bradford)
    columns = (to_d50 @ space).T
    if np.abs(columns).max() > 100:
        raise ArithmeticError("the primaries lie nearly on a line")
    bodies = {b"wtpt": _xyz(_D50)}
    for letter, column in zip((b"r", b"g", b"b"), columns, strict=True):
        bodies[letter + b"XYZ"] = _xyz(column)
        bodies[letter + b"TRC"] = b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)
    table, data, at = struct.pack(">I", len(bodies)), b"", 132 + 12 * len(bodies)
    for name, body in bodies.items():
        table += struct.pack(">4sII", name, at + len(data), len(body))
        data += body
    size = at + len(data)
    head = struct.pack(">I4s4s4s4s4s", size, b"", b"\4\x30\0\0", b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + data


_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def _xyz(values: Any) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(float(value) * 65536))
