"""How the threads that share a computation wait for each other."""

from __future__ import annotations

import os


def let_waiting_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait; call it before torch is imported. A user's own setting stays.

    By default they spin. Where other work fills the cores, a spinning thread holds up the very one that it waits
    for: on two busy cores a creature took 184 s, and 16 to 29 s so, in the same bytes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
