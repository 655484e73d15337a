"""``chimera plugins check``: try the laws of plugins and of their components."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._progress import progress
from chimera_core.downloads.assets import no_downloads
from chimera_core.errors import ChimeraError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.laws import Law, Outcome, can_be_tried, laws_of
from chimera_core.options.config import suggest
from chimera_core.plugins.discovery import Component, PluginHost, PluginRecord
from chimera_core.plugins.packaging import InstalledLaws

_BAD = ("broken", "unexpected")
_FAR = 60  # of a reason or value in the table


@click.command("check")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--deep", is_flag=True, help="Build every component, and try all that it promises.")
@click.option("--verbose", is_flag=True, help="Say why laws were not tried.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def check(ctx: click.Context, names: Sequence[str], deep: bool, verbose: bool, as_json: bool) -> None:
    """Check plugins: what users and Chimera may rely on. NAME is a plugin, or one of its components.

    First the package: imports, hooks, targets, defaults, presets, extras. With --deep then the laws of every component, on
    drawn pictures and small data. What is broken is named with the value met and the page of the docs; exit code 1.
    """
    let_waiting_threads_sleep()
    host = plugin_host(ctx, report_broken=False)
    rows: list[dict[str, Any]] = []
    chosen = [found for name in names for found in _find(host, name)]
    with _crashes_name_the_law(), progress("checking", quiet=as_json, unit="laws") as report:
        listed = list(_laws(chosen, host, deep=deep))
        for number, (record, component, each) in enumerate(listed, 1):
            with no_downloads("a check"):
                rows.append(_row(record, component, each.outcome()))
            report(number, len(listed))
    if as_json:
        print_json(rows)
    else:
        _print_rows(rows, deep=deep, verbose=verbose)
    if any(row["verdict"] in _BAD for row in rows):
        ctx.exit(1)


@contextmanager
def _crashes_name_the_law() -> Iterator[None]:
    """Let a crash in C, which ends this process, print where it was: the law's method, and the plugin's line."""
    is_ours = not faulthandler.is_enabled()
    if is_ours:
        faulthandler.enable(file=2)
    try:
        yield
    finally:
        if is_ours:
            faulthandler.disable()


def _find(host: PluginHost, name: str) -> list[tuple[PluginRecord, Sequence[Component]]]:
    """Find a plugin with all its components, or a component with its plugin."""
    records = [record for record in host.records if record.name == name]
    if records:
        record = records[0]
        if record.status == "not-installed":
            raise PluginError(f"plugin {name} is not installed: {record.error}")
        return [(record, record.components) for record in records]
    plugin, _, short = name.rpartition(":")
    found = [c for c in host.components() if c.spec.name == short and plugin in ("", c.plugin)]
    if not found:
        known = {c.spec.name for c in host.components()} | {r.name for r in host.records}
        raise PluginError(f"nothing is named '{one_line(name, limit=80)}'" + suggest(name, known))
    return [(next(r for r in host.records if c in r.components), [c]) for c in found]


def _laws(
    chosen: Sequence[tuple[PluginRecord, Sequence[Component]]], host: PluginHost, *, deep: bool
) -> Iterator[tuple[PluginRecord, Component | None, Law]]:
    seen: set[str] = set()
    for record, components in chosen:
        if record.name not in seen:
            yield from ((record, None, each) for each in laws_of(InstalledLaws(record)))
        seen.add(record.name)
        for component in components if deep else ():
            yield from ((record, component, each) for each in _laws_of_component(component, host))


def _laws_of_component(component: Component, host: PluginHost) -> list[Law]:
    if component.extra_needed:
        return []
    from chimera_core.testing.laws.component import laws_of_component

    try:
        return laws_of_component(component, host)
    except ChimeraError as error:
        return [can_be_tried(str(error))]


def _row(record: PluginRecord, component: Component | None, outcome: Outcome) -> dict[str, Any]:
    law = outcome.law
    return {
        "plugin": record.name,
        "component": component.spec.name if component else None,
        "kind": component.kind if component else None,
        "law": law.name,
        "statement": law.statement,
        "page": law.page,
        "verdict": outcome.verdict,
        "met": outcome.met or None,
        "reason": law.expected_failure or None,
        "wall_s": round(outcome.wall_s, 3),
    }


def _print_rows(rows: Sequence[dict[str, Any]], *, deep: bool, verbose: bool) -> None:
    """Print what is not kept, law by law, and a line for each plugin and component."""
    for row in rows:
        who = row["component"] or f"plugin {row['plugin']}"
        if row["verdict"] == "broken":
            click.echo(one_line(f"{who}: law {row['law']} is broken: {row['statement']}"))
            click.echo(one_line(f"    met: {row['met']}"))
            click.echo(one_line(f"    docs: {row['page']}"))
        elif row["verdict"] == "unexpected":
            click.echo(
                one_line(f"{who}: law {row['law']} is kept, and was declared to fail: {row['reason']}")
            )
            click.echo("    mend: remove it from expected_failures")
    subjects = list(dict.fromkeys((row["plugin"], row["component"], row["kind"]) for row in rows))
    counted = []
    for plugin, component, kind in subjects:
        own = [r for r in rows if (r["plugin"], r["component"], r["kind"]) == (plugin, component, kind)]
        count = {v: sum(r["verdict"] == v for r in own) for v in ("kept", "expected", "not-tried")}
        bad = len(own) - sum(count.values())
        reasons = "; ".join(f"{r['law']}: {r['reason']}" for r in own if r["verdict"] == "expected")
        cells = (str(count["kept"]), str(bad), str(count["not-tried"]), reasons)
        counted.append((component or plugin, kind or "plugin", *cells))
    print_table(("name", "kind", "kept", "broken", "not tried", "fails as declared"), counted)
    untried = [row for row in rows if row["verdict"] == "not-tried"]
    if verbose:
        _print_untried(untried)
    elif untried:
        click.echo(f"not tried: {len(untried)} (--verbose says why)")
    if not deep:
        click.echo("the package alone was checked: --deep tries its components")


def _print_untried(rows: Sequence[dict[str, Any]]) -> None:
    """Print why laws were not tried, those of one reason on one line."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        reasons.setdefault((row["component"] or f"plugin {row['plugin']}", row["met"]), []).append(row["law"])
    for (who, reason), laws in reasons.items():
        click.echo(one_line(f"{who}: not tried: {reason} ({', '.join(laws)})"))
