"""Memory of the machine and of processes."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from chimera_core import host_memory


def test_free_memory_is_a_part_of_all_memory() -> None:
    assert 0 < host_memory.available_bytes() <= psutil.virtual_memory().total


def test_the_limit_of_a_container_bounds_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, unlimited = tmp_path / "memory.max", tmp_path / "unlimited"
    limit.write_text("12345678\n")
    unlimited.write_text("max\n")
    monkeypatch.setattr(
        host_memory, "_CONTAINER_LIMITS", (str(tmp_path / "gone"), str(unlimited), str(limit))
    )
    assert host_memory.available_bytes() == 12345678


def test_a_process_that_takes_memory_holds_it_and_a_dead_one_holds_none() -> None:
    before = host_memory.resident_bytes(os.getpid())
    # Of the system, not of what this process has had and given up.
    with mmap.mmap(-1, 64 << 20) as taken:
        for page in range(0, len(taken), mmap.PAGESIZE):
            taken[page] = 1
        assert host_memory.resident_bytes(os.getpid()) - before > 48 << 20
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert host_memory.resident_bytes(child.pid) == 0
