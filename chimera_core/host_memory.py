"""How much memory this machine has free, and how much a process holds. Torch-free."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def available_bytes() -> int:
    """Give the bytes that new work may take, a container's limit counted; all of the memory where that is all we know.

    Where a system tells nothing, 4 GiB are taken for free.
    """
    found = [_all_bytes()]
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
            if os.path.exists(limit) and (text := Path(limit).read_text(encoding="ascii").strip()).isdigit():
                found.append(int(text))
    except OSError:
        pass  # another system than Linux
    return min(found)


def resident_bytes(pid: int) -> int:
    """Give the bytes that a process holds; 0 where the system does not tell (no /proc)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def _all_bytes() -> int:
    if hasattr(os, "sysconf"):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (OSError, ValueError):
            return _UNKNOWN
    kernel = getattr(getattr(ctypes, "windll", None), "kernel32", None)
    said = _WindowsMemory()
    said.length = ctypes.sizeof(said)
    if kernel is not None and kernel.GlobalMemoryStatusEx(ctypes.byref(said)):
        return int(said.available)
    return _UNKNOWN


class _WindowsMemory(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    ]


_UNKNOWN = 4 << 30
