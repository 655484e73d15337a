"""Parents that are no files yet: the standard input, addresses, pictures in memory. They become files for a while."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote as quote_letters
from urllib.parse import urlsplit, urlunsplit

from chimera_core.errors import ConfigError, DataError, RunError, ShapeError
from chimera_core.files.atomic import atomic_path, disk_trouble, one_line, quote
from chimera_core.files.own_folders import make_folder
from chimera_core.images.limits import MAX_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from chimera_core.images.upright import UInt8

    ParentLike = str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor

MAX_ADDRESS_BYTES = 64_000_000
"""The longest picture that is fetched from an address."""
SILENCE_S, LONGEST_S = 15.0, 60.0
"""How long the host of an address may be silent, and how long its answer may take."""
STDIN = "-"
_SPELLED = "%/:?@!$&'()*+,;=~-._"  # what an address may hold beside letters and digits


@dataclass(frozen=True)
class Incoming:
    """Parents as files and names, and what the user gave in their place.

    Args:
        names: files, or names as they were given.
        originals: file -> what it was given as: ``-``, an address without its secrets, ``picture 1``.
    """

    names: tuple[str, ...]
    originals: dict[str, str]


@contextmanager
def take_in(
    parents: Sequence[ParentLike],
    *,
    stdin: BinaryIO | None = None,
    remark: Callable[[str], object] | None = None,
) -> Iterator[Incoming]:
    """Turn parents into files where they are none; these are gone after the block.

    Args:
        parents: names, paths, addresses of http and https, which count as asked for; PIL images; arrays uint8 or float
            in [0, 1], (H, W), (H, W, 3) or (H, W, 4); tensors uint8 or float in [0, 1], (3, H, W) or (4, H, W).
        stdin: where ``-`` is read from; None: it is not.
        remark: called with a line for each address that was fetched.
    Raises:
        ConfigError: if two parents are the standard input.
        DataError, ShapeError: if one is no picture.
        RunError: if an address does not give it, or the disk refuses.
    """
    if isinstance(parents, str):
        raise ConfigError(f"parents is {quote(parents)}: pass a list of two or more")
    if sum(isinstance(parent, str) and parent == STDIN for parent in parents) > 1 and stdin is not None:
        raise ConfigError("parents - and -: the standard input holds one picture: name a file for the other")
    with tempfile.TemporaryDirectory(prefix="chimera-", ignore_cleanup_errors=True) as folder:
        names: list[str] = []
        originals: dict[str, str] = {}
        for k, parent in enumerate(parents):
            place = Path(folder, str(k))
            if isinstance(parent, str) and parent == STDIN and stdin is not None:
                called, file = STDIN, _put(place, "standard-input", _read(stdin), STDIN)
            elif isinstance(parent, str) and is_web_address(parent):
                called = without_secrets(parent)
                data = _fetch(parent, called)
                file = _put(place, _file_name(called), data, called)
                if remark is not None:
                    remark(f"{called}: {len(data):,} bytes")
            elif isinstance(parent, (str, os.PathLike)):
                names.append(str(parent))
                continue
            else:
                called, file = _put_pixels(place, parent, k)
            names.append(str(file))
            originals[str(file)] = called
        yield Incoming(tuple(names), originals)


def is_web_address(parent: str) -> bool:
    """Return whether a parent is an address that is fetched."""
    return bool(re.match(r"https?://", parent, re.IGNORECASE))


def without_secrets(address: str) -> str:
    """Leave user, password, query and fragment out of an address: messages, files and reports travel."""
    parts = urlsplit(address)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise ConfigError(f"address of a parent: {error}: check it") from None
    return one_line(f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}", limit=200)


def _fetch(address: str, called: str) -> bytes:
    from chimera_core.downloads.web import WebClient

    if urlsplit(address).username is not None:
        raise ConfigError(
            f"parent {quote(called)}: an address with a password is not asked: save the picture to a file"
        )
    client = WebClient(interval_s=0, timeout_s=SILENCE_S, pauses_s=(), longest_s=LONGEST_S)
    try:
        return client.get(_spelled(address), limit=MAX_ADDRESS_BYTES)
    except RunError as error:
        reason = str(error).removesuffix(": try again later")
        raise RunError(
            f"parent {quote(called)} cannot be fetched ({reason}): check the address, or save the picture to a file"
        ) from error


def _spelled(address: str) -> str:
    """Spell an address as the protocol asks, which knows neither ö nor spaces."""
    parts = urlsplit(address)
    try:
        host = parts.netloc.encode("idna").decode("ascii")
    except UnicodeError:
        host = parts.netloc  # whoever is asked says that there is no such host
    path, query = (quote_letters(part, safe=_SPELLED) for part in (parts.path, parts.query))
    return urlunsplit((parts.scheme, host, path, query, ""))


def _read(stdin: BinaryIO) -> bytes:
    if stdin.isatty():
        raise ConfigError("parent '-': the standard input is a terminal: send an image file into it, with <")
    try:
        data = stdin.read(MAX_BYTES + 1)
    except OSError as error:
        raise RunError(f"parent '-': the standard input cannot be read: {disk_trouble(error)}") from error
    if len(data) > MAX_BYTES:
        raise DataError(
            f"parent '-' is longer than {MAX_BYTES // 1_000_000} MB: scale the picture down first"
        )
    return data


def _put(folder: Path, name: str, data: bytes, called: str) -> Path:
    """Write what came, after it was decoded once: so messages name what the user gave, and not our file.

    Raises:
        DataError: as ``read_picture``.
        RunError: if the disk refuses.
    """
    from chimera_core.images import decode_picture

    decode_picture(data, called)
    file = folder / name
    make_folder(folder, within=folder.parent)
    with atomic_path(file) as temporary:
        temporary.write_bytes(data)
    return file


def _file_name(called: str) -> str:
    """Name a file like what an address names, in letters that every disk takes."""
    last = urlsplit(called).path.rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).strip("._")[-80:] or "picture"


def _put_pixels(folder: Path, picture: Any, number: int) -> tuple[str, Path]:
    from chimera_core.images import write_png

    called = f"picture {number + 1}"
    pixels = _pixels_of(picture, f"parent {number + 1}")
    make_folder(folder, within=folder.parent)
    file = folder / f"{called.replace(' ', '-')}.png"
    write_png(file, pixels)
    return called, file


def _pixels_of(picture: Any, what: str) -> UInt8:
    """Turn a picture in memory into uint8 (H, W, 3 or 4)."""
    import numpy as np

    pillow = sys.modules.get("PIL.Image")  # what nobody imported, nobody gave
    if pillow is not None and isinstance(picture, pillow.Image):
        return _pixels_of_image(picture)
    if hasattr(picture, "detach"):  # a tensor
        kind, wanted = "a tensor", "(3, H, W) or (4, H, W)"
        array = picture.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
        is_shaped = array.ndim == 3 and array.shape[0] in (3, 4)
        array = np.moveaxis(array, 0, 2) if is_shaped else array
    elif isinstance(picture, np.ndarray):
        kind, wanted = "an array", "(H, W), (H, W, 3) or (H, W, 4)"
        array = picture
        is_shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
        array = np.stack([array] * 3, axis=2) if array.ndim == 2 else array
    else:
        raise ConfigError(
            f"{what} is of type {type(picture).__name__}: pass a path, a name, an address, a PIL image, an array or a tensor"
        )
    if not is_shaped or 0 in array.shape:
        raise ShapeError(f"{what} is {kind} {tuple(picture.shape)}: pass {wanted}")
    if array.dtype == np.uint8:
        pixels: UInt8 = np.ascontiguousarray(array)
        return pixels
    if array.dtype.kind != "f":
        raise DataError(f"{what} is {kind} of {array.dtype}: pass uint8, or floats in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # NaN too
        raise DataError(
            f"{what} has values from {low:.3g} to {high:.3g}: floats lie in [0, 1], or pass uint8"
        )
    rounded: UInt8 = np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    return rounded


def _pixels_of_image(image: Any) -> UInt8:
    """Read a PIL image as a file of it would be read: upright, in sRGB."""
    import io

    import numpy as np

    from chimera_core.images import decode_picture

    buffer = io.BytesIO()
    profile = image.info.get("icc_profile") if image.mode not in ("CMYK", "LAB", "YCbCr", "HSV") else None
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"):  # what a PNG cannot hold
        image = image.convert("RGBA" if image.mode in ("La", "RGBa", "PA") else "RGB")
    image.save(buffer, format="PNG", icc_profile=profile, exif=image.getexif(), compress_level=1)
    read = decode_picture(buffer.getvalue(), "picture.png")
    pixels: UInt8 = read.rgb if read.alpha is None else np.dstack([read.rgb, read.alpha])
    return pixels
