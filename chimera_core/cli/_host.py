"""The process that a command works in: its plugins, with what is broken said once, and how its threads wait."""

from __future__ import annotations

import os
import sys

import click

from chimera_core.files.atomic import one_line
from chimera_core.plugins.discovery import PluginHost, default_host


def plugin_host(ctx: click.Context, *, report_broken: bool = True) -> PluginHost:
    """Discover plugins; say once what is broken."""
    root = ctx.find_root()
    host = default_host()
    if report_broken and "chimera.broken-said" not in root.meta:
        root.meta["chimera.broken-said"] = True
        for record in host.broken:
            print(
                one_line(
                    f"chimera: plugin {record.name} ({record.distribution} {record.version}) is left out: {record.error}"
                ),
                file=sys.stderr,
            )
    return host


def let_waiting_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait; call it before torch is imported. A user's own setting stays.

    By default they spin. Where other work fills the cores, a spinning thread holds up the very one that it waits
    for: on two busy cores a creature took 184 s, and 16 to 29 s so, in the same bytes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
