"""Notes inside picture files: how a creature was made, written into every format that can hold it, and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chimera_core.files.atomic import AnyPath
from chimera_core.files.text import parse_json
from chimera_core.images.decoding import decode
from chimera_core.images.readers import reader_of

if TYPE_CHECKING:
    from PIL import ImageFile

_EXIF_IFD, _USER_COMMENT, _DESCRIPTION, _SOFTWARE = 0x8769, 0x9286, 0x010E, 0x0131
_ASCII = b"ASCII\0\0\0"  # how EXIF says which letters a comment has; JSON needs no others
_MOST_READ = 1 << 20  # bytes; a stranger's comment may be as long as the file
_LONGEST = 60_000  # bytes; EXIF in a JPEG ends at 65,533


def exif_of(text: Mapping[str, str]) -> bytes:
    """Pack notes as EXIF of a JPEG or WebP: JSON in its comment. What does not fit is left out, the longest first."""
    from PIL import Image

    exif = Image.Exif()
    if software := text.get("Software"):
        exif[_SOFTWARE] = software.encode("ascii", "replace").decode()
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = _ASCII + _packed(text).encode("ascii")
    return exif.tobytes()


def tiff_tags_of(text: Mapping[str, str]) -> dict[int, str]:
    """Pack notes as a TIFF's description, because libtiff writes no EXIF."""
    return {_DESCRIPTION: _packed(text)}


def _packed(text: Mapping[str, str]) -> str:
    # Lone surrogates, of undecodable file names, are escaped as in a PNG.
    kept = {key: value.encode("utf-8", "backslashreplace").decode() for key, value in text.items()}
    while len(comment := json.dumps(kept)) > _LONGEST:
        del kept[max(kept, key=lambda key: len(kept[key]))]
    return comment


def read_notes(path: AnyPath) -> dict[str, str]:
    """Read the notes that ``write_picture`` and ``write_gif`` put into a PNG, JPEG, WebP, TIFF or GIF.

    Returns:
        By key; all text chunks of a PNG, whoever wrote them. Empty where there are none.
    Raises:
        DataError: as ``read_picture``.
    """
    return {} if reader_of(path) else decode(path, _notes_of)


def _notes_of(image: ImageFile.ImageFile) -> dict[str, str]:
    from PIL.PngImagePlugin import PngImageFile

    if isinstance(image, PngImageFile):
        return {str(key): str(value) for key, value in image.text.items()}
    raw: Any = b""
    with suppress(Exception):  # a decoder border: damaged metadata should not cost the picture
        if image.format == "GIF":
            raw = image.info.get("comment", b"")
        else:
            exif = image.getexif()
            raw = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT) or exif.get(_DESCRIPTION, "").encode("ascii")
    if len(raw) > _MOST_READ:
        return {}
    try:
        notes = parse_json(bytes(raw).removeprefix(_ASCII).decode("ascii"))
    except (UnicodeError, ValueError, TypeError):
        return {}
    if not isinstance(notes, dict):
        return {}
    return {key: value for key, value in notes.items() if isinstance(value, str)}
