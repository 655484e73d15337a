"""``chimera doctor``: what this installation can do, and what ails it."""

from __future__ import annotations

import os
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.files.atomic import one_line
from chimera_core.host_cores import core_limit, load_average, usable_cores

SLOW_S = 0.25
"""A plugin that takes longer to load is called slow: all of ours together take a tenth of this."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show device, versions, settings and registry with their origin, assets, and every plugin with its load time."""
    from pydantic_core import to_jsonable_python

    from chimera_core.runs.record import versions

    host = plugin_host(ctx, report_broken=False)
    folder = host.settings.path("assets")
    found: dict[str, Any] = {
        "versions": versions(),
        "device": _devices(),
        "settings": [
            {"name": s.name, "variable": s.variable, "value": s.value, "origin": s.origin}
            for s in host.settings.by_name.values()
        ],
        "assets": [
            {
                "name": name,
                "filename": entry.filename,
                "size": entry.size,
                "present": (folder / entry.filename).is_file(),
            }
            for name, entry in host.registry.assets.items()
        ],
        "models": [
            {
                "name": name,
                "component": model.component,
                "can_be_used": host.has(model.kind, model.component),
                "origin": host.registry.place("models", name),
            }
            for name, model in host.registry.models.items()
        ],
        "registry": [
            {"key": ".".join(keys), "value": to_jsonable_python(value), "origin": place}
            for keys, value, place in host.registry.values()
        ],
        "plugins": [
            {
                "name": r.name,
                "distribution": r.distribution,
                "version": r.version,
                "status": r.status,
                "load_ms": round(r.load_s * 1000, 1),
                "slow": r.load_s > SLOW_S,
                "error": r.error or None,
            }
            for r in host.records
        ],
    }
    if as_json:
        print_json(found)
        return
    print_table(("what", "version"), list(found["versions"].items()))
    print_table(("device", "is"), [(key, str(value)) for key, value in found["device"].items()])
    print_table(
        ("setting", "value", "from", "variable"),
        [(s["name"], s["value"] or "-", s["origin"], s["variable"]) for s in found["settings"]],
    )
    print_table(
        ("asset", "file", "bytes", "present"),
        [
            (a["name"], a["filename"], f"{a['size']:,}", "yes" if a["present"] else "no")
            for a in found["assets"]
        ],
    )
    if found["models"]:
        print_table(
            ("model", "of", "can be used", "from"),
            [
                (m["name"], m["component"], "yes" if m["can_be_used"] else "no", m["origin"])
                for m in found["models"]
            ],
        )
    print_table(
        ("registry", "value", "from"),
        [(row["key"], one_line(row["value"], limit=60), row["origin"]) for row in found["registry"]],
    )
    print_table(
        ("plugin", "distribution", "version", "status", "load ms", "trouble and mend"),
        [
            (
                p["name"],
                p["distribution"],
                p["version"],
                p["status"],
                f"{p['load_ms']}{' (slow)' if p['slow'] else ''}",
                p["error"] or "",
            )
            for p in found["plugins"]
        ],
    )
    for record in sorted((r for r in host.records if r.load_s > SLOW_S), key=lambda r: -r.load_s):
        click.echo(
            f"plugin {record.name} makes every command {record.load_s:.1f} s slower: report it to its author, or "
            f"switch it off with CHIMERA_PLUGINS_DISABLE={record.name}"
        )
    for record in host.broken:
        click.echo(f"--- {record.name}: why it is left out ---\n{record.trace}")


def _devices() -> dict[str, Any]:
    """Name the device that ``auto`` picks and what it can do. Imports torch."""
    import torch

    from chimera_core.devices import select_device

    device = select_device("auto")
    limit, load = core_limit(), load_average()
    capabilities = torch.cpu.get_capabilities()
    found: dict[str, Any] = {
        "auto": str(device),
        "cpu": capabilities.get("cpu_name") or capabilities.get("architecture") or "unnamed",
        "cpu cores": os.cpu_count(),
        "cpu cores usable": usable_cores(),
        "cpu cores' limit": "none seen" if limit is None else round(limit, 2),
        "cpu load, last minute": "unknown" if load is None else round(load, 1),
        "cpu threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "not set: commands that compute set PASSIVE"),
        "cpu bf16": sorted(k for k, v in capabilities.items() if v and ("bf16" in k or "amx" in k)),
    }
    if device.type == "cuda":
        index = device.index or 0
        found["gpu"] = torch.cuda.get_device_name(index)
        found["gpu memory GiB"] = round(torch.cuda.get_device_properties(index).total_memory / 2**30, 1)
        found["bf16"] = torch.cuda.is_bf16_supported()
    return found
