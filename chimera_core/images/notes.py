"""Notes inside picture files: how a creature was made, written into every format that can hold it, and read back."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chimera_core.errors import DataError
from chimera_core.files.atomic import AnyPath, disk_trouble, quote
from chimera_core.files.text import parse_json
from chimera_core.images.decoding import decode
from chimera_core.images.readers import reader_of

if TYPE_CHECKING:
    from PIL import ImageFile

_EXIF_IFD, _USER_COMMENT, _DESCRIPTION, _SOFTWARE = 0x8769, 0x9286, 0x010E, 0x0131
_ASCII = b"ASCII\0\0\0"  # how EXIF says which letters a comment has; JSON needs no others
_MOST_READ = 1 << 20  # bytes; a stranger's comment may be as long as the file
_LONGEST = 60_000  # bytes; EXIF in a JPEG ends at 65,533
# How XMP is marked in an MP4 (XMP specification part 3, 2.5), and the least XMP that holds one description.
_XMP_BOX = b"uuid" + bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
    '<rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>'
)
_MOST_BOXES = 10_000


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


def mp4_box_of(text: Mapping[str, str]) -> bytes:
    """Pack notes as what may stand at the end of an MP4, whoever wrote it: XMP, whose description is JSON."""
    xmp = _XMP.format(html.escape(_packed(text), quote=False)).encode("ascii")
    return (4 + len(_XMP_BOX) + len(xmp)).to_bytes(4, "big") + _XMP_BOX + xmp


def _packed(text: Mapping[str, str]) -> str:
    # Lone surrogates, of undecodable file names, are escaped as in a PNG.
    kept = {key: value.encode("utf-8", "backslashreplace").decode() for key, value in text.items()}
    while len(comment := json.dumps(kept)) > _LONGEST:
        del kept[max(kept, key=lambda key: len(kept[key]))]
    return comment


def read_notes(path: AnyPath) -> dict[str, str]:
    """Read the notes that ``write_picture``, ``write_gif`` and ``write_mp4`` put into a file.

    Returns:
        By key; all text chunks of a PNG, whoever wrote them. Empty where there are none.
    Raises:
        DataError: as ``read_picture``.
    """
    if os.path.splitext(os.fspath(path))[1].lower() == ".mp4":
        return _notes_of_mp4(path)
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
    return _unpacked(bytes(raw).removeprefix(_ASCII)) if len(raw) <= _MOST_READ else {}


def _notes_of_mp4(path: AnyPath) -> dict[str, str]:
    start = re.escape(_XMP.partition("{}")[0].encode())
    try:
        with open(path, "rb") as file:
            for _ in range(_MOST_BOXES):
                head = file.read(8)
                length = int.from_bytes(head[:4], "big")
                if length == 1:  # then it is in the next eight bytes
                    length = int.from_bytes(file.read(8), "big") - 8
                if len(head) < 8 or not 8 <= length < 1 << 62:  # the end, or a box that goes on up to it
                    return {}
                if head[4:] == b"uuid" and length <= _MOST_READ:
                    body = file.read(length - 8)
                    if body.startswith(_XMP_BOX[4:]) and (found := re.search(start + rb"([^<]*)<", body)):
                        return _unpacked(html.unescape(found[1].decode("ascii", "replace")).encode())
                else:
                    file.seek(length - 8, os.SEEK_CUR)
    except OSError as error:
        raise DataError(f"cannot read {quote(path)}: {disk_trouble(error)}") from error
    return {}


def _unpacked(raw: bytes) -> dict[str, str]:
    try:
        notes = parse_json(raw.decode("ascii"))
    except (UnicodeError, ValueError, TypeError):
        return {}
    if not isinstance(notes, dict):
        return {}
    return {key: value for key, value in notes.items() if isinstance(value, str)}
