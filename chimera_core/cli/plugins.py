"""``chimera plugins``: what is installed, what is broken, and what each component offers."""

from __future__ import annotations

from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli.parsing.groups import Group
from chimera_core.components.choice import look_up_options, option_layers
from chimera_core.errors import PluginError
from chimera_core.files.atomic import one_line
from chimera_core.options.config import suggest
from chimera_core.options.flags import Flag, flags_of
from chimera_core.plugins.discovery import Component, PluginHost, PluginRecord
from chimera_core.plugins.hookspecs import KINDS

_LAZY = {
    "check": "chimera_core.cli.plugins_check:check",
    "new": "chimera_core.cli.plugins_new:new",
}
_PREFIXES = {"feature-encoder": "encoder.", "robustness-trainer": "trainer."}
"""What stands before the options of kinds that no command takes by themselves."""


@click.group(cls=Group, lazy=_LAZY)
def plugins() -> None:
    """List plugins, look into their components, check them, and begin one of your own."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def list_plugins(ctx: click.Context, as_json: bool) -> None:
    """List every component, and every plugin that offers none because it is broken, off or not installed."""
    host = plugin_host(ctx, report_broken=not as_json)
    rows = _rows(host)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "kind", "plugin", "version", "trust", "status", "summary"),
        [
            (
                row["name"],
                row["kind"] or "-",
                row["plugin"],
                row["version"] or "-",
                row["trust"],
                row["status"],
                row["error"] or row["summary"],
            )
            for row in rows
        ],
    )
    if host.registry.models:
        print_table(
            ("model", "of", "licence", "summary"),
            [(n, m.component, m.licence, m.summary) for n, m in sorted(host.registry.models.items())],
        )


@plugins.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a component, plugin or model: what is said about it and where, its options and presets."""
    host = plugin_host(ctx, report_broken=False)
    plugin, _, short = name.rpartition(":")
    found = [c for c in host.components() if c.spec.name == short and plugin in ("", c.plugin)]
    found = found or [c for c in host.components() if c.plugin == name]
    details = [_details(component, host) for component in found]
    if name in host.registry.models:
        details.append(_model(name, host))
    if not details:
        details = [_unloaded(record, host) for record in host.records if record.name == name]
    if not details:
        known = {c.spec.name for c in host.components()} | {r.name for r in host.records}
        raise PluginError(f"nothing is named '{name}'" + suggest(name, known | set(host.registry.models)))
    if as_json:
        print_json(details)
        return
    for detail in details:
        _print_details(detail)


def _rows(host: PluginHost) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for record in host.records:
        entry = host.entry(record)
        shared = {
            "plugin": record.name,
            "distribution": record.distribution,
            "version": record.version or None,
            "trust": entry.trust if entry else "unlisted",
            "status": record.status,
            "error": record.error or None,
        }
        rows += [shared | _component_row(component, host) for component in record.components]
        if not record.components:
            summary = entry.summary if entry else "offers no component" if record.status == "ok" else ""
            rows.append(shared | {"name": record.name, "kind": None, "summary": summary})
    keys = ("name", "kind", "plugin", "distribution", "version", "summary", "trust", "status", "error")
    return [{key: row[key] for key in keys} for row in rows]


def _component_row(component: Component, host: PluginHost) -> dict[str, Any]:
    name = component.spec.name
    row: dict[str, Any] = {"name": name, "kind": component.kind, "summary": component.spec.summary}
    others = [c.plugin for c in host.namesakes(component) if c is not component]
    if component.extra_needed:
        row |= {"status": "needs-extra", "error": component.extra_needed}
    elif others:
        row["error"] = f"{', '.join(others)} offers this name too: write '{component.plugin}:{name}'"
    return row


def _details(component: Component, host: PluginHost) -> dict[str, Any]:
    record = next(r for r in host.records if component in r.components)
    entry = host.entry(record)
    layers = option_layers(component, host, None)
    prefix = _PREFIXES.get(component.kind, "")
    flags = flags_of(component.spec.config, layers=layers, look_up=look_up_options(host), prefix=prefix)
    table = f"plugins.{record.name}.options.{component.spec.name}"
    is_addition = KINDS[component.kind].is_addition
    return {
        "name": component.spec.name,
        "kind": component.kind,
        "summary": component.spec.summary,
        "plugin": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "trust": entry.trust if entry else "unlisted",
        "home_page": entry.home_page if entry else "",
        "registry": _registry_rows(host, "plugins", record.name) if entry else [],
        "target": component.spec.target,
        **({"suffixes": list(component.spec.suffixes)} if component.spec.suffixes else {}),
        "options_in": f"[{table}]" if is_addition else None,
        "options": [
            {
                "flag": None if is_addition else flag.name,
                "name": ".".join(flag.path),
                "type": _type(flag),
                "minimum": flag.minimum,
                "maximum": flag.maximum,
                "value": _plain(flag.value),
                "origin": flag.origin,
                "help": flag.help,
            }
            for flag in flags
        ],
        "presets": [
            {"name": p.name, "summary": p.summary, "options": _plain(p.options)}
            for p in component.spec.presets
        ],
    }


def _type(flag: Flag) -> str:
    if flag.choices:
        return "|".join(flag.choices)
    named = {"duration": "duration", "count": "count", "reference": "component"}
    return named.get(flag.form, flag.type.__name__)


def _unloaded(record: PluginRecord, host: PluginHost) -> dict[str, Any]:
    """What can be told of a plugin that offers nothing: broken, switched off, not installed or empty."""
    entry = host.entry(record)
    return {
        "name": record.name,
        "kind": None,
        "summary": entry.summary if entry else "",
        "plugin": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "trust": entry.trust if entry else "unlisted",
        "home_page": entry.home_page if entry else "",
        "status": record.status,
        "error": record.error or None,
        "registry": _registry_rows(host, "plugins", record.name) if entry else [],
    }


def _model(name: str, host: PluginHost) -> dict[str, Any]:
    entry = host.registry.models[name]
    return {
        "name": name,
        "kind": "model",
        "summary": entry.summary,
        "component": {"kind": entry.kind, "name": entry.component},
        "classes": list(entry.classes),
        "registry": _registry_rows(host, "models", name),
    }


def _registry_rows(host: PluginHost, section: str, name: str) -> list[dict[str, Any]]:
    """List what the registry says about one entry, each value with the file and line that it comes from."""
    return [
        {"key": ".".join(keys[2:]), "value": _plain(value), "origin": place}
        for keys, value, place in host.registry.values()
        if keys[:2] == (section, name)
    ]


def _plain(value: Any) -> Any:
    """Make a value fit for JSON."""
    from pydantic_core import PydanticUndefined, to_jsonable_python

    return "(required)" if value is PydanticUndefined else to_jsonable_python(value)


def _print_details(detail: dict[str, Any]) -> None:
    click.echo(one_line(f"{detail['name']} ({detail['kind'] or 'plugin'}): {detail['summary']}"))
    if "plugin" in detail:
        who = (detail["distribution"], detail["version"])
        click.echo(one_line(f"  plugin {detail['plugin']}, {' '.join(filter(None, who))}, {detail['trust']}"))
    if detail.get("suffixes"):
        click.echo(one_line(f"  reads files that end in {', '.join(detail['suffixes'])}"))
    if detail.get("home_page"):
        click.echo(one_line(f"  {detail['home_page']}"))
    if detail.get("status"):
        click.echo(one_line(f"  {detail['status']}" + (f": {detail['error']}" if detail["error"] else "")))
    if detail["registry"]:
        print_table(
            ("registry", "value", "from"),
            [(entry["key"], _short(entry["value"]), entry["origin"]) for entry in detail["registry"]],
        )
    if detail.get("options") and (table := detail["options_in"]):
        click.echo(
            one_line(f"  options are set in a registry file, chimera --registry FILE ..., below {table}:")
        )
    if detail.get("options"):
        print_table(
            ("option", "type", "bounds", "value", "from", "what it does"),
            [
                (o["flag"] or o["name"], o["type"], _bounds(o), _short(o["value"]), o["origin"], o["help"])
                for o in detail["options"]
            ],
        )
    for preset in detail.get("presets", ()):
        click.echo(one_line(f"  preset {preset['name']}: {preset['summary']}"))


def _bounds(option: dict[str, Any]) -> str:
    low, high = option["minimum"], option["maximum"]
    return (
        ""
        if low is None and high is None
        else f"{'' if low is None else low:}..{'' if high is None else high:}"
    )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name", value))
    if isinstance(value, list):
        return ",".join(str(v) for v in value)
    return "" if value is None else str(value)
