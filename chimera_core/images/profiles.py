"""Bring a picture's colours into sRGB, the space in which everything here counts.

A telephone writes Display P3, a camera Adobe RGB: the same numbers mean other colours there. The file says so by an
embedded profile (ICC), a PNG also by gamma and primaries, a camera's JPEG by a letter in its EXIF. LittleCMS
converts. A profile that cannot be used costs the picture nothing but one warning.
"""

from __future__ import annotations

import functools
import io
import logging
import math
import struct
from typing import TYPE_CHECKING, Any

from chimera_core.files.atomic import AnyPath, one_line, quote
from chimera_core.images.spaces import adobe_rgb, png_space

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PROFILE = 4 << 20
"""The longest profile that is used, in bytes; those of printers have about 2 MB."""

_CHANNELS = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
# What sRGB differs from itself by, in steps of 255, through makers' various tables of it.
_SAME = 2

_log = logging.getLogger(__name__)


def profile_of(image: ImageFile.ImageFile, path: AnyPath) -> bytes | None:
    """Give the profile of the space that a picture's colours are in; None if that is sRGB, or not known.

    Args:
        image: a file whose header is read.
        path: its name, for the warning about a profile that cannot be used.
    """
    if "icc_profile" in image.info:
        profile = image.info["icc_profile"]
        # None is what Pillow makes of one that is incomplete or does not unpack.
        found = profile if isinstance(profile, bytes) else b""
        if fault := _fault(found) or _unlike(found, image.mode):
            _warn(path, fault, found)
            return None
        return found
    return png_space(dict(image.info)) if image.format == "PNG" else adobe_rgb(image)


def into_srgb(image: Image.Image, profile: bytes, path: AnyPath) -> Image.Image:
    """Convert colours to sRGB; transparency stays.

    Args:
        image: mode RGB or RGBA, whose pixels are changed where they lie; L, CMYK, which come back as RGB. The mode
            must be the profile's.
        profile: what ``profile_of`` gave.
    Returns:
        RGB or RGBA; an L that needs no conversion, or whose profile is broken, stays L, and CMYK stays CMYK.
    """
    from PIL import ImageCms

    try:
        transform = _transform(profile, image.mode)
        if transform is None:
            return image
        if image.mode in ("RGB", "RGBA"):
            ImageCms.applyTransform(image, transform, inPlace=True)
            return image
        converted = ImageCms.applyTransform(image, transform)
    # A decoder border: LittleCMS refuses what is broken inside, and a Pillow without it refuses everything.
    except Exception as error:
        _warn(path, f"is broken ({one_line(error, limit=80)})", profile)
        return image
    return image if converted is None else converted


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> Any:
    """Make the conversion to sRGB; None where it would change nothing that can be seen."""
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGBA" if mode == "RGBA" else "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        # As image editors do it: the darkest ink becomes black.
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: Any, mode: str) -> bool:
    """Return whether a conversion moves no colour by more than makers' tables of sRGB differ.

    So a picture that is in sRGB keeps its very bytes, whoever wrote its profile.
    """
    import numpy as np
    from PIL import Image, ImageCms

    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    grey = np.arange(256, dtype=np.uint8)
    probe = np.concatenate([cube, np.repeat(grey[:, None], 3, axis=1)]) if mode != "L" else grey[:, None]
    before = Image.fromarray(probe[None, :, :3] if mode != "L" else probe.T).convert(mode)
    after = ImageCms.applyTransform(before.copy(), transform)
    if after is None:
        return False
    moved = np.asarray(after.convert("RGB"), dtype=np.int16) - np.asarray(before.convert("RGB"))
    return bool(np.abs(moved).max() <= _SAME)


def _fault(profile: bytes) -> str:
    """Return what is wrong with a profile as far as its own bytes tell; empty if nothing is."""
    if len(profile) > MAX_PROFILE:
        return f"is too large ({len(profile) / 2**20:.0f} MiB, the limit is {MAX_PROFILE >> 20})"
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return "is broken (it is incomplete)"
    (tags,) = struct.unpack(">I", profile[128:132])
    if tags > 100 or 132 + 12 * tags > len(profile):
        return "is broken (its table is cut short)"
    for at in range(132, 132 + 12 * tags, 12):
        name, start, length = struct.unpack(">4sII", profile[at : at + 12])
        if _table_bytes(name, profile[start : start + length]) > length:
            return "is broken (a table is cut short)"
    return ""


def _table_bytes(name: bytes, data: bytes) -> int:
    """Count the bytes that a tag's colour table claims: LittleCMS sets them aside before it looks for them."""
    if len(data) < 32 or name[:3] not in (b"A2B", b"D2B"):
        return 0
    kind, inputs, outputs = data[:4], data[8], data[9]
    if kind in (b"mft1", b"mft2"):
        return int(data[10] ** inputs) * outputs * (1 if kind == b"mft1" else 2)
    if kind == b"mpet":  # of floats: too rare to be counted
        return len(data) + 1
    table = int.from_bytes(data[24:28])
    if kind != b"mAB " or not table:
        return 0
    grid = data[table : table + min(inputs, 16)]
    return math.prod(grid) * outputs


def _unlike(profile: bytes, mode: str) -> str:
    """Report that a profile is not of the picture's kind; empty if it is."""
    kind = _CHANNELS.get(profile[16:20])
    if kind == "CMYK" and mode == "CMYK":
        return ""
    if kind == "L" and mode.startswith(("1", "L", "F", "I")) and mode != "LAB":
        return ""
    if kind == "RGB" and mode not in ("CMYK", "LAB", "HSV"):
        return ""
    return (
        f"is of another kind ({one_line(profile[16:20].decode('latin-1')).strip()}) than the picture ({mode})"
    )


def _warn(path: AnyPath, fault: str, profile: bytes) -> None:
    """Warn once for each profile in a process: ten thousand photographs of one camera have the same one."""
    met = hash((fault, profile[:4096]))
    if met not in _warned and len(_warned) < 1000:
        _warned.add(met)
        _log.warning("%s: its colour profile %s: read as sRGB", quote(path), fault)


_warned: set[int] = set()
