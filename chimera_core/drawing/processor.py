"""How a CPU draws: by one thread, which keeps the memory that it frees."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# glibc's malloc.h: names of thresholds, the largest that one of them takes, and what the other comes to by itself then.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP, _USUAL_TRIM = 32 * 2**20, 64 * 2**20
_KEPT = 2**30


@contextmanager
def drawing_on(device: torch.device) -> Iterator[None]:
    """Compute with one of the CPU's threads, its memory kept. Another device computes as it always does.

    A step is some hundreds of operations of a millisecond or less. Threads that share them wait for one another more than
    they work: two gained nothing on two quiet cores in one run; spinning on busy ones they took six to eight times the
    processor time. Moreover a seed gives the same bits whatever the count.
    """
    if device.type != "cpu":
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _freed_memory_kept():
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _freed_memory_kept() -> Iterator[None]:
    """Let this process keep up to 1 GiB of what it frees, and give it back at the end. Does nothing but with glibc.

    Each step allocates the same tens of megabytes. As new pages they are cleared by the system 10,000 or more times a
    step, which took a sixth of the encoder's time.
    """
    try:
        library = ctypes.CDLL(None)
        set_threshold, trim = library.mallopt, library.malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, another system
        yield
        return
    set_threshold(_MMAP_THRESHOLD, _LARGEST_MMAP)
    set_threshold(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        set_threshold(_TRIM_THRESHOLD, _USUAL_TRIM)
        trim(0)
