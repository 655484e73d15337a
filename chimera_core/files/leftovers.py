"""Names of half-written files, which tell whose they are: what a killed process left is known from what is being written.

Torch-free.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
from pathlib import Path

_NAME = re.compile(
    r"\..*\.(?P<place>[0-9a-f]{8}|)-(?P<pid>\d{1,19})-(?P<begun>\d{0,20})-[0-9a-f]{8}\.tmp", re.DOTALL
)


def temporary_name(name: str) -> str:
    """Name a half-written file: ``.NAME.PLACE-PID-BEGUN-XXXXXXXX.tmp``.

    Args:
        name: what it will be. It is cut, because some names fit the file system's 255 bytes only without ours.
    """
    pid = os.getpid()
    return f".{name[:40]}.{_place()}-{pid}-{begun(pid)}-{secrets.token_hex(4)}.tmp"


def is_temporary(name: str) -> bool:
    """Return whether a name is of ``temporary_name``."""
    return _NAME.fullmatch(name) is not None


def writer_is_gone(name: str) -> bool | None:
    """Return whether the process that began a half-written file has ended.

    Args:
        name: of ``temporary_name``.
    Returns:
        None where that cannot be known: it ran on another machine, in another container, or before the last boot.
    """
    found = _NAME.fullmatch(name)
    if found is None or not _place() or found["place"] != _place():
        return None
    return begun(int(found["pid"])) != found["begun"]


def kernel() -> str:
    """Name this boot of this machine, which all its containers share; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def begun(pid: int) -> str:
    """Return when a process began, in the system's ticks: empty where it is none, or the system does not say.

    A number that was given anew is so not mistaken for the process that had it before.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@functools.cache
def _place() -> str:
    """Name where this process's number means something: this boot, and its container; empty where that is not said."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{kernel()} {numbers}".encode()).hexdigest()[:8] if kernel() else ""
