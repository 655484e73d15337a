"""How much memory this machine has free, and how much a process holds. Torch-free."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_bytes() -> int:
    """Give the bytes that new work may take; a container's limit, which psutil does not see, is an upper bound."""
    available = int(psutil.virtual_memory().available)
    for limit in _CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            available = min(available, int(Path(limit).read_text(encoding="ascii")))
    return available


def resident_bytes(pid: int) -> int:
    """Give the bytes that a process holds in memory; 0 where it is gone or another user's."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
