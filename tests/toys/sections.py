"""A process of sections of a benchmark, in a file of its own: a process that is spawned imports it by name."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection


def serve_by_name(line: Connection) -> None:
    """Be a process of sections named by what they do."""
    os.setsid()
    while True:
        name, *_ = line.recv()
        if name == "dies":
            os._exit(3)
        if name != "hangs":
            line.send({"status": "done", "figures": {"process": {"value": os.getpid(), "unit": "id"}}})
