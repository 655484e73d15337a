"""Names that files of ours can have on every system, and names compared as people read them. Torch-free."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable

from chimera_core.files.atomic import AnyPath, quote

MAX_BYTES = 255
"""What a name may take in most file systems."""


def name_trouble(name: str) -> str:
    """Return why some system refuses a name for a file or folder, or makes another one of it; empty if none does.

    Windows opens a device for ``con`` and ``nul.png``, drops final dots and spaces, and writes ``a:b`` into a hidden
    part of the file ``a``.

    Args:
        name: without folder.
    """
    if not name:
        return "it is empty"
    if name in (".", ".."):
        return "it means a folder"
    if forbidden := re.search(r'[/\\:*?"<>|]', name):
        return f"Windows or another system refuses {quote(forbidden[0])} in a name"
    if not name.isprintable():
        return "it holds what does not print"
    if name[-1] in ". ":
        return f"Windows drops the {'dot' if name[-1] == '.' else 'space'} at its end"
    if is_device(name):
        return f"{quote(name.partition('.')[0].rstrip())} is a device of Windows"
    if len(name.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    return ""


def is_device(name: str) -> bool:
    """Return whether Windows opens a device for a name, whatever its ending: ``con``, ``Nul.png``, ``COM1``."""
    # Superscript digits count, too; no other compatible spelling does, but a name may be folded later.
    plain = unicodedata.normalize("NFKC", name).casefold().partition(".")[0].rstrip()
    return bool(re.fullmatch(r"con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)\d", plain))


def path_trouble(path: AnyPath) -> str:
    """Return why this system takes a path that a user chose for another one, or no disk does; empty if neither.

    Other systems' rules are no reason to refuse a user's own names: elsewhere ``12:30.png`` is a file like any other.
    """
    if any(len(part.encode(errors="surrogateescape")) > MAX_BYTES for part in os.fspath(path).split(os.sep)):
        return "the name is too long"  # a question whether it is there would fail, or not, by what lies above
    if not on_windows():
        return ""
    # Not PurePath, which reads paths by the rules of the machine that runs it, a test's, too.
    parts = re.split(r"[/\\]+", re.sub(r"^(\\\\[?.]\\)?([A-Za-z]:)?", "", os.fspath(path)))
    for part in parts:
        if part not in ("", ".", "..") and (trouble := name_trouble(part)):
            return trouble
    return ""


def on_windows() -> bool:
    """Return whether the rules of Windows hold here."""
    return os.name == "nt"


def nfc(text: str) -> str:
    """Spell a name with composed letters. A Mac's older disks part ``é`` into ``e`` and its accent."""
    return unicodedata.normalize("NFC", text)


def spelled_in(known: Iterable[str], name: str) -> str | None:
    """Find a name among others however its accents are spelled.

    Returns:
        The name as ``known`` spells it, the very same one first; None if it is not there.
    """
    listed = list(known)
    if name in listed:
        return name
    wanted = nfc(name)
    return next((other for other in listed if nfc(other) == wanted), None)


def in_words(text: str) -> str:
    """Spell a name in small letters, its words joined by ``_``; without apostrophes and the dot of "St. Bernard".

    ``Golden Eagle``, ``golden-eagle`` and ``GOLDEN_EAGLE`` are spelled alike.
    """
    name = re.sub(r"\.(?=\s)|['’]", "", unicodedata.normalize("NFKC", text).casefold())
    return "_".join(filter(None, re.split(r"[\s_-]+", name)))


def match_names(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Find names among others, however their capitals, accents, spaces, ``-`` and ``_`` are spelled.

    Returns:
        The name as ``known`` spells it, by each of ``names`` that is there: the very same one first, then the only one
        that differs in spelling alone.
    """
    listed = list(known)
    alike: dict[str, list[str]] = {}
    for other in listed:
        alike.setdefault(_unspaced(other), []).append(other)
    found: dict[str, str] = {}
    for name in names:
        candidates = alike.get(_unspaced(name), [])
        if (same := spelled_in(candidates, name)) is not None:
            found[name] = same
        elif len(candidates) == 1:
            found[name] = candidates[0]
    return found


def _unspaced(name: str) -> str:
    return in_words(name).replace("_", "")


def same_file(names: Iterable[str]) -> tuple[str, str] | None:
    """Give the first two names that are one file on a disk that tells no capitals or spellings of accents apart."""
    seen: dict[str, str] = {}
    for name in names:
        key = nfc(nfc(name).casefold())
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None
