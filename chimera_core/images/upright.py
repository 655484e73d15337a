"""From a file that is open to pixels as they should be seen: every mode and depth, turned as EXIF says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chimera_core.files.atomic import AnyPath
from chimera_core.images.profiles import into_srgb, profile_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageFile

    UInt8 = NDArray[np.uint8]


def upright_pixels(image: ImageFile.ImageFile, path: AnyPath | None) -> tuple[UInt8, UInt8 | None]:
    """Decode to uint8 (H, W, 3) in sRGB and alpha (H, W) or None, turned as EXIF says.

    Args:
        image: a file whose header is read.
        path: its name, for the warning about a profile that cannot be used; None: values as they are stored.
    """
    import numpy as np

    raw_mode = str(image.tile[0].args) if image.tile else ""
    if image.format == "TIFF":  # Pillow leaves what no strip or tile covers black
        boxes = [tile.extents or (0, 0, *image.size) for tile in image.tile]
        if sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) < image.size[0] * image.size[1]:
            raise ValueError("parts of the picture are missing")
    profile = None if path is None else profile_of(image, path)
    image.load()
    rgb, alpha = _pixels(image, raw_mode, lambda part: _as_rgb(part, profile, path or ""))
    if alpha is not None and alpha.min() == 255:
        alpha = None
    turn = _TURNS[_orientation(image)]
    return np.ascontiguousarray(turn(rgb)), None if alpha is None else np.ascontiguousarray(turn(alpha))


def _pixels(
    image: Image.Image, raw_mode: str, as_rgb: Callable[[Image.Image], Image.Image]
) -> tuple[UInt8, UInt8 | None]:
    import numpy as np
    from PIL import Image

    key = image.info.get("transparency")
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        # These formats promise 16 bits; elsewhere mode I holds whatever a program stored as int32.
        sixteen = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")
        grey = _to_8_bits(values, sixteen=sixteen)
        alpha = np.where(values == key, 0, 255).astype(np.uint8) if isinstance(key, int) else None
        return np.array(as_rgb(Image.fromarray(grey))), alpha
    # PNG writes its transparent colour in the depth of the file; Pillow (13) compares it unscaled with
    # pixels that it scaled to 8 bits.
    if isinstance(key, int) and raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = min(key * (85 if raw_mode == "L;2" else 17), 255)
    elif isinstance(key, tuple) and "16B" in raw_mode:
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if not image.has_transparency_data:
        return np.array(as_rgb(image)), None
    rgba = np.array(as_rgb(image.convert("RGBA")))
    return rgba[:, :, :3], rgba[:, :, 3]


def _as_rgb(image: Image.Image, profile: bytes | None, path: AnyPath) -> Image.Image:
    """Convert to RGB or RGBA in sRGB; an image of one of these modes is changed where it lies."""
    if profile is not None:
        kind = profile[16:20]
        if kind == b"GRAY" and image.mode == "RGBA":  # grey with transparency: all channels are the same
            grey = into_srgb(image.getchannel("R"), profile, path).convert("RGB")
            grey.putalpha(image.getchannel("A"))
            return grey
        if kind == b"GRAY":
            image = into_srgb(image.convert("L"), profile, path)
        elif kind == b"CMYK":
            image = into_srgb(image, profile, path)
        else:
            image = into_srgb(image if image.mode == "RGBA" else image.convert("RGB"), profile, path)
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


def _to_8_bits(values: NDArray[Any], *, sixteen: bool) -> UInt8:
    """Scale grey values to 0..255, rounding to nearest.

    Args:
        values: (H, W), integer or float.
        sixteen: white is 65535. Otherwise the values tell: what fits into 0..1 (floats), 0..255 or
            0..65535 is taken as such, the rest is stretched from its lowest to its highest value. NaN
            becomes black.
    """
    import numpy as np

    if sixteen:
        # round(v / 257) in whole numbers: 257 is odd, so there are no ties.
        return ((values.astype(np.uint32) + 128) // 257).clip(0, 255).astype(np.uint8)
    # Hostile floats (signalling NaN, infinities) may not print numpy's warnings.
    with np.errstate(all="ignore"):
        numbers = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        if not numbers.size:
            return np.zeros(values.shape, np.uint8)
        low, high = float(numbers.min()), float(numbers.max())
        if low >= 0 and high <= 65535:
            whites = (1, 255, 65535) if values.dtype.kind == "f" else (255, 65535)
            low, high = 0.0, float(next(white for white in whites if high <= white))
        flat, grey = values.reshape(-1), np.empty(values.size, np.uint8)
        block = 1 << 20  # as float64 the whole of a large picture would take 800 MB a copy
        for start in range(0, flat.size, block):
            scaled = (flat[start : start + block].astype(np.float64) - low) / max(high - low, 1e-300) * 255
            grey[start : start + block] = np.rint(
                np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255)
            )
    return grey.reshape(values.shape)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a decoder border: damaged metadata should not cost the picture
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


# By EXIF's number, what makes the picture upright; works on (H, W) and (H, W, C).
_TURNS: dict[int, Callable[[UInt8], UInt8]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
