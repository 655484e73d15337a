"""What pictures are written as: formats by their endings, quality, opacity, and the notes that each can hold."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import AnyPath, atomic_path, quote
from chimera_core.images.notes import exif_of, tiff_tags_of
from chimera_core.images.writing import check_pixels, png_notes

if TYPE_CHECKING:
    from chimera_core.images.upright import UInt8


@dataclass(frozen=True)
class PictureFormat:
    """A format that creatures are written in.

    Args:
        name: as people and Pillow call it.
        suffixes: endings, the usual one first.
        has_alpha: whether it keeps opacity.
        quality: what is taken if the user names none; None: it loses nothing, so there is none.
        moves: whether it holds frames; such a one is for sweeps alone.
        longest: side in pixels that it can hold; None: any that is made here.
    """

    name: str
    suffixes: tuple[str, ...]
    has_alpha: bool = False
    quality: int | None = None
    moves: bool = False
    longest: int | None = None

    @property
    def suffix(self) -> str:
        """The usual ending."""
        return self.suffixes[0]


PNG = PictureFormat("PNG", (".png",), has_alpha=True)
# At 95 without subsampled colour a JPEG of a creature is about 1 of 255 off, and a fifth of the PNG.
JPEG = PictureFormat("JPEG", (".jpg", ".jpeg"), quality=95, longest=65_500)
WEBP = PictureFormat("WebP", (".webp",), has_alpha=True, quality=92, longest=16_383)
TIFF = PictureFormat("TIFF", (".tif", ".tiff"), has_alpha=True)
GIF = PictureFormat("GIF", (".gif",), moves=True)
MP4 = PictureFormat("MP4", (".mp4",), moves=True)
FORMATS = (PNG, JPEG, WEBP, TIFF, GIF, MP4)
STILL_SUFFIXES = tuple(suffix for form in FORMATS if not form.moves for suffix in form.suffixes)
MOVING_SUFFIXES = tuple(suffix for form in FORMATS if form.moves for suffix in form.suffixes)


def format_of(path: AnyPath) -> PictureFormat | None:
    """Tell the format from a file's ending; None for one that is not written here."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    return next((form for form in FORMATS if suffix in form.suffixes), None)


def check_quality(quality: int | None, form: PictureFormat) -> int | None:
    """Check a quality for a format, and give the one in force.

    Raises:
        ConfigError: if it is out of range, or the format loses nothing.
    """
    if quality is None:
        return form.quality
    if form.quality is None:
        lossy = " or ".join(each.suffix for each in FORMATS if each.quality is not None)
        raise ConfigError(f"quality is for {lossy}, and {form.name} has none: leave it out")
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality}: choose 1 to 100")
    return quality


def check_side(side: int, form: PictureFormat) -> None:
    """Check that a format can hold a side of so many pixels.

    Raises:
        ConfigError: if it cannot.
    """
    if form.longest is not None and side > form.longest:
        raise ConfigError(
            f"{form.name} holds {form.longest:,} pixels a side, and this is {side:,} or more: name a .png or .tif"
        )


def encode_picture(
    image: UInt8, form: PictureFormat, *, text: Mapping[str, str] | None = None, quality: int | None = None
) -> bytes:
    """Encode one picture; equal input gives equal bytes.

    Args:
        image: uint8 (H, W, 3), or (H, W, 4) with opacity, which a format without it lays over white.
        form: one that does not move.
        text: notes kept inside; ``read_notes`` reads them.
        quality: 1 to 100, of JPEG and WebP; 100 keeps every pixel of a WebP. None: the format's own.
    Raises:
        ShapeError: if ``image`` has another shape or dtype.
        ConfigError: for a quality out of range, or of a format that loses nothing; if it is too long for the format.
    """
    from PIL import Image

    check_pixels(image, "image", channels=(3, 4))
    check_side(max(image.shape[:2]), form)
    quality = check_quality(quality, form)
    how: dict[str, Any] = {}
    if form is PNG:
        how["pnginfo"] = png_notes(text or {})
    elif text and form is TIFF:
        how["tiffinfo"] = tiff_tags_of(text)
    elif text:
        how["exif"] = exif_of(text)
    if form is JPEG:
        how |= {"quality": quality, "subsampling": 0, "optimize": True}
    elif form is WEBP:
        # Lossless keeps colours under transparent pixels too.
        how |= {"lossless": True, "exact": True} if quality == 100 else {"quality": quality}
    elif form is TIFF:
        how["compression"] = "tiff_adobe_deflate"
    buffer = io.BytesIO()
    picture = image if form.has_alpha else on_white(image)
    Image.fromarray(picture).save(buffer, format=form.name, **how)
    return buffer.getvalue()


def write_picture(
    path: AnyPath, image: UInt8, *, text: Mapping[str, str] | None = None, quality: int | None = None
) -> None:
    """Write one picture whole or not at all, in the format of its ending; see ``encode_picture``.

    Raises:
        ConfigError: as ``encode_picture``, or if the ending is of no format for one picture.
        RunError: if the disk refuses.
    """
    form = format_of(path)
    if form is None or form.moves:
        raise ConfigError(f"output {quote(path)}: let it end in {' or '.join(STILL_SUFFIXES)}")
    data = encode_picture(image, form, text=text, quality=quality)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def on_white(image: UInt8) -> UInt8:
    """Lay uint8 (H, W, 4) over white: (H, W, 3); without opacity it stays as it is."""
    if image.shape[2] == 3:
        return image
    import numpy as np

    alpha = image[:, :, 3:].astype(np.uint16)
    return ((image[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
