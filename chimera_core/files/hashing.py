"""SHA-256 of plain values and of files."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any


def digest_of(value: Any) -> str:
    """Hash plain values."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, ensure_ascii=False).encode(errors="surrogatepass")
    ).hexdigest()


def hash_file(path: Path | str) -> str:
    """Hash a file's content; empty for one that cannot be read, and for a pipe, which would wait for its writer."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def hash_unchanged(path: Path | str) -> str:
    """Hash a file as ``hash_file`` does, once for as long as its size and time of change stay the same."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return ""
    return _hash_once(os.fspath(path), info.st_size, info.st_mtime_ns)


@functools.cache
def _hash_once(path: str, size: int, mtime_ns: int) -> str:
    return hash_file(path)
