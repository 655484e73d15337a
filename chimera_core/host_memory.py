"""How much memory this machine has free, and how much a process holds. Torch-free."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int:
    """Give the bytes that new work may take, a container's limit counted; all of the memory where that is all we know."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
            if os.path.exists(limit) and (text := Path(limit).read_text().strip()).isdigit():
                found.append(int(text))
    except OSError:
        pass  # another system than Linux
    return min(found)


def resident_bytes(pid: int) -> int:
    """Give the bytes that a process holds; 0 where the system does not tell (no /proc)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
