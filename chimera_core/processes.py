"""Processes that we start: how they are called, and what they must not pick up on the way. Torch-free."""

from __future__ import annotations

import os
import sys


def python_command(*arguments: str) -> list[str]:
    """Give the command line of a Python process of ours, e.g. ``python_command("-m", "chimera_core.cli")``.

    ``-P`` keeps the current folder off ``sys.path``: ``-m`` would look there first, and a ``queue.py`` that lies beside
    a stranger's photographs would be executed.
    """
    return [sys.executable, "-P", *arguments]


def keep_current_folder_out() -> None:
    """Let every Python process that this one starts, and theirs, look for no code in the current folder.

    For those whose command line others write: multiprocessing's ``spawn`` and ``forkserver`` (DataLoader off Linux),
    its resource tracker, and the compile workers of torch all begin with ``python -c`` or ``-m``.
    """
    os.environ["PYTHONSAFEPATH"] = "1"


def is_worker() -> bool:
    """Return whether a launcher, torchrun or another, started this process as one of those that train together."""
    return "TORCHELASTIC_RUN_ID" in os.environ or ("RANK" in os.environ and "WORLD_SIZE" in os.environ)
