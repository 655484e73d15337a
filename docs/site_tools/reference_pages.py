"""Write pages of docs/reference from the code itself: ``cli.md``, ``components.md``, ``plugin-directory.md`` and others.

    python docs/site_tools/reference_pages.py [--check]

``--check`` writes nothing, and ends with 1 where a page is not what would be written; the tests do so.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTH = 100
REFERENCE = Path(__file__).resolve().parents[1] / "reference"
BY = "<!-- Written by docs/site_tools/reference_pages.py: run it after a change, do not edit this page. -->\n"
KINDS = {
    "fusion-generator": "Fusers",
    "feature-encoder": "Encoders",
    "robustness-trainer": "Trainers",
    "dataset-source": "Sources",
    "run-logger": "Loggers",
}
_SINGULAR = {kind: title.removesuffix("s").lower() for kind, title in KINDS.items()}


def main(args: list[str]) -> int:
    """Write the pages, or compare them."""
    with _nobody_s_settings():
        pages = {
            "cli.md": cli_page(),
            "components.md": components_page(),
            "report.md": report_page(),
            "laws.md": laws_page(),
            "plugin-directory.md": directory_page(),
        }
    stale = [name for name, text in pages.items() if _tokens(REFERENCE / name) != text.split()]
    if "--check" in args:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run python docs/site_tools/reference_pages.py")
        return bool(stale)
    for name in stale:
        (REFERENCE / name).write_text(pages[name], encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


def cli_page() -> str:
    """Collect the help of every command."""
    parts = [
        "# Command line\n",
        BY,
        "The help of every command. Each takes `--help`, and adds the options of the components that you name: "
        "`chimera fuse --fuser style-transfer --help`. Those are under [Components](components.md).\n",
    ]
    for names, text in _helps():
        title = " ".join(("chimera", *names))
        parts += [f"{'#' * min(2 + max(len(names) - 1, 0), 3)} {title}\n", f"```\n{text.rstrip()}\n```\n"]
    return "\n".join(parts)


def components_page() -> str:
    """Collect what every plugin of ours offers, with options and presets."""
    rows = [
        row
        for row in _json("plugins", "list", "--json")
        if row["distribution"] == "chimera-toolkit" and row["kind"]
    ]
    parts = [
        "# Components\n",
        BY,
        "What comes with Chimera; every component is a plugin. `chimera plugins list` shows what is installed on your "
        "machine, `chimera plugins show NAME` the options of one with the values in force.\n",
    ]
    for kind, title in KINDS.items():
        parts.append(f"## {title}\n")
        for row in sorted((r for r in rows if r["kind"] == kind), key=lambda r: str(r["name"])):
            (detail,) = [d for d in _json("plugins", "show", row["name"], "--json") if d["kind"] == kind]
            parts += [f"### {row['name']}\n", f"{_sentence(row['summary'])} (Plugin `{row['plugin']}`.)\n"]
            parts += [_options(detail["options"])] if detail["options"] else []
            parts += [f"- Preset `{p['name']}`: {_cell(p['summary'])}" for p in detail["presets"]]
            parts += [""] if detail["presets"] else []
    return "\n".join(parts)


def report_page() -> str:
    """Collect the meaning of every column and figure of a comparison."""
    from chimera_core.report import columns

    parts = [
        "# The report and its columns\n",
        BY,
        "What stands in `report.html`, `report.md` and the tables of a comparison. The report carries the same explanations "
        "as a legend. How figures are computed: [The scorecard](scorecard.md). The files: [The run folder](run-folder.md#a-comparison).\n",
        "## Figures\n",
        "A figure of one parent ends in its position, counted from 0: `membership_0`. A name in brackets is the encoder that "
        "measured it: `score[robust-small-64]`.\n",
        "| figure | better | meaning |\n|---|---|---|",
    ]
    parts += [
        f"| `{name}` | {better} | {_cell(meaning)} |" for name, (better, meaning) in columns.FIGURES.items()
    ]
    tables = {"Ranking": columns.RANKING, "Pairwise tests": columns.TESTS}
    for title, table in {**tables, **{f"`{file}`": table for file, table in columns.FILES.items()}}.items():
        parts += [f"\n## {title}\n", "| column | meaning |\n|---|---|"]
        parts += [f"| `{name}` | {_cell(meaning)} |" for name, meaning in table.items()]
    return "\n".join(parts) + "\n"


def laws_page() -> str:
    """Collect the laws of every kind of component."""
    from chimera_core.testing.laws.catalogue import LAWS_OF

    parts = [
        "# Laws\n",
        BY,
        "What a component promises, one law a line. `chimera plugins check NAME --deep` tries them all, and so do "
        "`check_fuser` and the like in a plugin's own tests: see [Test a plugin](../how-to/test-plugins.md). A law is "
        "not tried where the component does not promise it, or while another law that it needs is broken. A component that "
        "cannot be loaded, or not built as its spec's `check` says, breaks law `can-be-tried`: see "
        "[What is tried with what](../how-to/test-plugins.md#what-is-tried-with-what).\n",
    ]
    for kind, list_laws in LAWS_OF.items():
        article = "an" if kind[0] in "aeiou" else "a"
        parts += [f"## Of {article} {kind}\n", "| law | what is promised |", "|---|---|"]
        parts += [f"| `{law.name}` | {_cell(law.statement).replace('``', '`')} |" for law in list_laws()]
        parts += [""]
    return "\n".join(parts)


def directory_page() -> str:
    """List the plugins that the shipped registry knows, and the examples."""
    import tomllib

    from chimera_core.plugins.discovery import default_host
    from chimera_core.plugins.new_package import EXAMPLES

    entries = sorted(default_host().registry.plugins.items())
    parts = [
        "# Directory of plugins\n",
        BY,
        "Plugins that Chimera's registry knows. To have yours listed: "
        "[Publish a plugin](../how-to/publish-plugins.md#have-it-listed). What is installed on your machine: "
        "`chimera plugins list`.\n",
    ]
    for title, is_ours in (("Others'", False), ("Ours", True)):
        chosen = [(n, e) for n, e in entries if (e.distribution == "chimera-toolkit") is is_ours]
        parts += [f"## {title}\n"]
        parts += ["None yet.\n"] if not chosen else []
        parts += (
            ["| plugin | offers | what it is | install | trust |\n|---|---|---|---|---|"] if chosen else []
        )
        for name, entry in chosen:
            kinds = ", ".join(_SINGULAR.get(kind, kind) for kind in entry.kinds)
            what = f"[{_cell(entry.summary)}]({entry.home_page})" if entry.home_page else _cell(entry.summary)
            parts.append(f"| `{name}` | {kinds} | {what} | `{entry.distribution}` | {entry.trust} |")
        parts += [""] if chosen else []
    parts += [
        "## Examples\n",
        "Whole packages, in `examples/plugins/` of the repository. `chimera plugins new NAME --kind KIND` writes them under "
        "your name.\n",
        "| package | `--kind` | what it is |\n|---|---|---|",
    ]
    kind_of = {component: kind for kind, component in EXAMPLES.items()}
    for file in sorted((REFERENCE.parents[1] / "examples" / "plugins").glob("*/pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        kind = kind_of.get(project["name"].removeprefix("chimera-"), "")
        cell = f"`{kind}`" if kind else ""
        parts.append(f"| `{project['name']}` | {cell} | {_cell(project['description'])} |")
    return "\n".join(parts) + "\n"


def _options(options: list[dict[str, Any]]) -> str:
    """One table; the options of components inside, such as ``encoder.model``, are on their own entries."""
    lines = ["| option | type | default | what it does |", "|---|---|---|---|"]
    for option in options:
        name = option["flag"] or option["name"]  # what is set in a registry only has no flag
        if any(name.startswith(f"{o['flag']}.") and o["type"] == "component" for o in options):
            continue
        low, high = option["minimum"], option["maximum"]
        bounds = _bounds(low, high)
        lines.append(
            f"| `{name}` | {_cell(option['type'] + bounds)} | {_value(option['value'])} | {_cell(option['help'])} |"
        )
    return "\n".join(lines) + "\n"


def _bounds(low: float | None, high: float | None) -> str:
    if high is None:
        return "" if low is None else f", at least {low:g}"
    return f", at most {high:g}" if low is None else f", {low:g} to {high:g}"


def _value(value: Any) -> str:
    if value in (None, "", [], "(required)"):
        return "required" if value == "(required)" else ""
    if isinstance(value, dict):
        value = value.get("name", json.dumps(value))
    return f"`{_cell(','.join(map(str, value)) if isinstance(value, list) else str(value))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    text = _cell(text)
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _helps() -> Iterator[tuple[tuple[str, ...], str]]:
    import click

    from chimera_core.cli.root import root

    def walk(group: click.Group, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        yield names, _printed(root, *names, "--help")
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                yield from walk(command, (*names, name))
            elif command is not None and not command.hidden:
                yield (*names, name), _printed(root, *names, name, "--help")

    yield from walk(root, ())


def _json(*args: str) -> Any:
    from chimera_core.cli.root import root

    return json.loads(_printed(root, *args))


def _printed(root: Any, *args: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        root.main(list(args), prog_name="chimera", standalone_mode=False, terminal_width=WIDTH)
    return out.getvalue()


@contextlib.contextmanager
def _nobody_s_settings() -> Iterator[None]:
    """Hide the settings of this machine and user, in this process."""
    for name in [n for n in os.environ if n.startswith("CHIMERA_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as nowhere, contextlib.chdir(nowhere):
        os.environ |= {"HOME": nowhere, "XDG_CONFIG_HOME": nowhere, "XDG_DATA_HOME": nowhere}
        yield


def _tokens(page: Path) -> list[str]:
    """A page without its line breaks: versions of click wrap differently."""
    return page.read_text(encoding="utf-8").split() if page.exists() else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
