"""Write pictures as PNG and GIF, whole or not at all, and check beforehand that this will work."""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chimera_core.errors import ConfigError, RunError, ShapeError
from chimera_core.files.atomic import AnyPath, atomic_path, check_writable, disk_trouble, is_address, quote
from chimera_core.files.names import path_trouble
from chimera_core.images.decoding import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from PIL import Image, PngImagePlugin

    from chimera_core.images.upright import UInt8


def check_output(path: AnyPath, suffixes: Sequence[str] = (".png", ".gif")) -> Path:
    """Check before long work that its result can be written; a temporary file is made and removed.

    Args:
        path: where the result should go. An existing file is fine.
        suffixes: the endings that the work can write, in lower case with the dot.
    Raises:
        ConfigError: if the ending is unknown, ``path`` is a folder or device, or the folder is missing,
            a file, or not writable.
    """
    if os.fspath(path) == "-":
        raise ConfigError(f"output '-': this is written to files only: name one, 'out{suffixes[0]}'")
    if is_address(path):
        raise ConfigError(
            f"output {quote(path)} is an address: name a file on this machine, 'out{suffixes[0]}'"
        )
    target, suffix = Path(path), Path(path).suffix.lower()
    if not target.name or str(path).endswith(("/", os.sep)):
        raise ConfigError(f"output {quote(path)} names no file: add a name, such as 'out{suffixes[0]}'")
    if trouble := path_trouble(path):
        raise ConfigError(f"output {quote(path)} cannot be written here: {trouble}: choose another name")
    try:
        if target.is_dir():
            raise ConfigError(f"output {quote(path)} is a folder: name a file in it, 'out{suffixes[0]}'")
        if suffix not in suffixes:
            # Of another kind of picture none is meant by mistake.
            guesses = () if suffix in PICTURE_SUFFIXES else suffixes
            near = difflib.get_close_matches(suffix, guesses, n=1, cutoff=0.4)
            guess = f" (did you mean {quote(near[0])}?)" if near else ""
            ending = f"the unknown ending {quote(target.suffix)}{guess}" if suffix else "no ending"
            raise ConfigError(f"output {quote(path)} has {ending}: let it end in {' or '.join(suffixes)}")
        # The nearest thing that exists on the way up tells a missing folder from a file in the way.
        folder = next(parent for parent in target.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise ConfigError(f"output {quote(path)}: {quote(folder)} is a file: choose another folder")
        if folder != target.absolute().parent:
            raise ConfigError(f"output {quote(path)}: no folder {quote(target.parent)}: make it first")
        check_writable(target)
    except RunError as error:
        raise ConfigError(str(error)) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write {quote(path)}: {disk_trouble(error)}") from error
    return target


def write_png(path: AnyPath, image: UInt8, *, text: Mapping[str, str] | None = None) -> None:
    """Write a PNG whole or not at all; equal input gives equal bytes.

    Args:
        path: the file; an older one is replaced.
        image: uint8 (H, W, 3), (H, W, 4) with alpha, or (H, W).
        text: notes kept inside the file, in this order; ``read_notes`` reads them. Keys are 1 to 79
            Latin-1 characters, values any text (undecodable bytes of file names are escaped).
    Raises:
        ShapeError: if ``image`` has another shape or dtype.
        ConfigError: if a key of ``text`` cannot be stored.
        RunError: if the disk refuses.
    """
    from PIL import Image

    check_pixels(image, "image", channels=(None, 3, 4))
    notes = png_notes(text or {})
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", pnginfo=notes)


def png_notes(text: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """Pack notes as text chunks of a PNG; for what it raises see ``write_png``."""
    from PIL import PngImagePlugin

    notes = PngImagePlugin.PngInfo()
    for key, value in text.items():
        if not re.fullmatch(r"[ -~\xa1-\xff]{1,79}", key):
            raise ConfigError(f"PNG text key {quote(key)}: use 1 to 79 Latin-1 characters on one line")
        # PNG forbids NUL; lone surrogates (undecodable file names) cannot be written as UTF-8.
        notes.add_text(key, value.replace("\0", "").encode("utf-8", "backslashreplace").decode())
    return notes


def write_gif(
    path: AnyPath, frames: Iterable[UInt8], *, fps: float, text: Mapping[str, str] | None = None
) -> None:
    """Write an endless GIF whole or not at all; equal input gives equal bytes.

    Each frame has its own 256 colours: exact where those suffice, else dithered. Equal neighbours are
    stored as one frame shown longer.

    Args:
        path: the file; an older one is replaced.
        frames: uint8 (H, W, 3) each, of one size.
        fps: frames per second, above 0 and at most 50, where GIF's clock (1/100 s) and viewers end.
        text: notes, kept as JSON in the file's comment.
    Raises:
        ShapeError: if there is no frame, or one has another shape or dtype.
        ConfigError: if ``fps`` is out of range.
        RunError: if the disk refuses.
    """
    if not 0 < fps <= 50:
        raise ConfigError(f"fps is {fps}: choose a number above 0 and at most 50, such as 10")
    pictures: list[Image.Image] = []
    for frame in frames:
        check_pixels(frame, f"frame {len(pictures)}", channels=(3,))
        if pictures and pictures[0].size != frame.shape[1::-1]:
            width, height = pictures[0].size
            raise ShapeError(
                f"frame {len(pictures)} is {frame.shape} but frame 0 is {(height, width, 3)}: make them equal"
            )
        pictures.append(_in_256_colours(frame))
    if not pictures:
        raise ShapeError("a GIF of no frames: pass at least one")
    # Rounding the times, not the durations, keeps the speed right on average: 30 fps is 3, 4, 3, ...
    times_cs = [round(100 * i / fps) for i in range(len(pictures) + 1)]
    with atomic_path(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=[10 * (end - start) for start, end in itertools.pairwise(times_cs)],
            loop=0,
            comment=json.dumps(text).encode() if text else b"",
            optimize=False,
        )


def check_pixels(image: UInt8, what: str, *, channels: tuple[int | None, ...]) -> None:
    """Raise ShapeError unless uint8 (H, W, c) with c in ``channels`` (None: (H, W)) and not empty."""
    shape: tuple[int, ...] = getattr(image, "shape", ())
    depth = shape[2] if len(shape) == 3 else None
    if len(shape) not in (2, 3) or depth not in channels or 0 in shape or str(image.dtype) != "uint8":
        wanted = " or ".join("(H, W)" if c is None else f"(H, W, {c})" for c in channels)
        got = f"{getattr(image, 'dtype', type(image).__name__)} {tuple(shape)}"
        raise ShapeError(f"{what} is {got}: pass a uint8 array {wanted}")


def _in_256_colours(frame: UInt8) -> Image.Image:
    import numpy as np
    from PIL import Image

    image = Image.fromarray(frame)
    if image.getcolors(256) is None:
        palette = image.quantize(256, method=Image.Quantize.MEDIANCUT)
        return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    # Few colours: median cut may merge some all the same, a look-up never does.
    colours, index = np.unique(frame.reshape(-1, 3), axis=0, return_inverse=True)
    exact = Image.fromarray(index.reshape(frame.shape[:2]).astype(np.uint8)).convert("P")
    exact.putpalette(colours.tobytes())
    return exact
