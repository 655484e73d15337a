"""The plugins of this process, with what is broken said once."""

from __future__ import annotations

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
