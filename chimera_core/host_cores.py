"""How many cores this process may use, and how busy they are. Torch-free."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cores() -> int:
    """Give the cores that this process may run on: all of the machine's, or those that affinity leaves it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_limit(groups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Give the cores' worth of time that a container lets its processes have; None without a limit that we can see.

    Args:
        groups: where the kernel shows control groups.
    """
    try:
        quota, _, period = (groups / "cpu.max").read_text(encoding="ascii").strip().partition(" ")
    except (OSError, ValueError):
        try:
            quota, period = (
                (groups / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip()
                for name in ("quota", "period")
            )
        except (OSError, ValueError):
            return None
    # "max", or -1 in the older form, is no limit.
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return None
    return int(quota) / int(period)


def load_average() -> float | None:
    """Give how many processes ran or waited for a core in the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None
