"""The card of a trained model: what it learned from, how, under which terms, and what was measured. Torch-free."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chimera_core.components.choice import choose
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.atomic import one_line, quote
from chimera_core.models.run_options import ENCODER, FUSER, read_options
from chimera_core.options.training import EncoderTraining, FuserTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.privacy import without_folders
from chimera_core.runs.record import read_run_record

KNOWN_LICENCES = frozenset(
    (
        "apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "mpl-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
        "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "openrail", "unlicense",
    )
)  # fmt: skip
"""Licences that the hub knows by these names; others are written as ``other`` with a name."""


def check_licence(licence: str) -> str:
    """Refuse what is no name of a licence.

    Raises:
        ConfigError: if it is empty or no word, such as cc-by-4.0.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]{1,60}", licence):
        raise ConfigError(
            f"weights are published under a licence: {quote(licence)} is none; give --licence, such as cc-by-4.0 or "
            "cc-by-nc-4.0, and mind the terms of the data"
        )
    return licence.lower()


def write_card(
    run: Path, host: PluginHost, *, name: str, use: str, licence: str, pictures: Mapping[str, str]
) -> str:
    """Write the card of a run, as Markdown with the table that the hub reads.

    Args:
        run: folder of a training.
        name: of the model.
        use: the command that uses it.
        licence: of the weights.
        pictures: files that lie beside the card, with what they show.
    Returns:
        The text. No folder of this machine is in it.
    Raises:
        ConfigError: if a file of the run is damaged.
    """
    is_fuser = read_run_record(run).get("kind") == FUSER
    training: type[EncoderTraining] | type[FuserTraining] = FuserTraining if is_fuser else EncoderTraining
    config, record = read_options(run, training, FUSER if is_fuser else ENCODER, host)
    component = str(record.get("fuser" if is_fuser else "encoder", ""))
    sections = [
        _front(licence, "fuser" if is_fuser else "encoder", config.source.options),
        f"# {_plain(name)}\n\n{_first_line(component, record, is_fuser=is_fuser)}\n\n    pip install 'chimera-toolkit[hf]'\n    {use}",
        _data(host, config.source.name, config.source.options, record),
        _training(record),
        _measured(record),
        *(f"## {what}\n\n![{what}]({file})" for file, what in pictures.items()),
        f"## Licence\n\n{licence}, chosen by who published it. The terms of the data stand above.",
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _front(licence: str, kind: str, source: Mapping[str, Any]) -> str:
    lines = ["---"]
    known = licence in KNOWN_LICENCES
    lines += [f"license: {licence}"] if known else ["license: other", f"license_name: {licence}"]
    lines += ["library_name: chimera-toolkit", "tags:", "- chimera", f"- {kind}"]
    set_name = str(source.get("name", ""))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", set_name):
        lines += ["datasets:", f"- {set_name}"]
    return "\n".join([*lines, "---"])


def _first_line(component: str, record: Mapping[str, Any], *, is_fuser: bool) -> str:
    count = record.get("parameters")
    if isinstance(count, Mapping):
        count = count.get("generator") or max((v for v in count.values() if isinstance(v, int)), default=None)
    size = f", {count / 1e6:.2g} million parameters" if isinstance(count, int) else ""
    what = "A fuser" if is_fuser else "A feature encoder"
    return f"{what}: `{_plain(component)}` at {record.get('size')} px{size}, trained with chimera-toolkit."


def _data(host: PluginHost, source: str, options: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    licence, home_page = "", ""
    notes: tuple[str, ...] = ()
    try:
        chosen = choose(host, "dataset-source", source, options)
        licence, home_page = chosen.component.spec.licence, chosen.component.spec.home_page
        info = chosen.load().info
        licence, home_page, notes = info.licence, info.home_page, info.notes
    except ChimeraError:
        pass  # they lie on another machine: what the source's plugin says is what is known
    classes = [_plain(str(name)) for name in record.get("classes", ())]
    lines = [
        f"- source `{_plain(source)}`"
        + "".join(f", {k} `{_plain(str(v))}`" for k, v in _telling(options).items()),
        f"- {record.get('train_images', '?')} images to learn from, {record.get('val_images', '?')} held out",
        f"- classes ({len(classes)}): {_some(classes)}",
        f"- terms: {_plain(licence) or 'unknown'}" + (f", {_plain(home_page)}" if home_page else ""),
        *(f"- {_plain(str(without_folders(note)))}" for note in notes[:6]),
    ]
    return "## Data\n\n" + "\n".join(lines)


def _telling(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v for k, v in without_folders(dict(options)).items() if v not in ("", None, [], ()) and k != "root"
    }


def _training(record: Mapping[str, Any]) -> str:
    command = shlex.join(map(str, without_folders(list(record.get("command", ())))))
    versions = record.get("versions") or {}
    known = ", ".join(f"{k} {versions[k]}" for k in ("chimera-toolkit", "torch", "timm") if k in versions)
    return (
        f"## Training\n\n    {one_line(command, limit=2000)}\n\n{record.get('images', '?')} images in "
        f"{float(record.get('wall_s') or 0):,.0f} s on {_plain(str(record.get('device')))}, {_plain(str(record.get('precision')))}, "
        f"seed {record.get('seed')}; {known}."
    )


def _measured(record: Mapping[str, Any]) -> str:
    rows = [
        f"| {_plain(key)} | {_number(best)} | {_number(final)} |"
        for key in {**(record.get("best") or {}), **(record.get("final") or {})}
        if key not in ("wall_s", "measured", "since")
        for best, final in [((record.get("best") or {}).get(key), (record.get("final") or {}).get(key))]
    ]
    if not rows:
        return ""
    return (
        "## Measured\n\nOn held-out images; the file holds the best weights.\n\n| | best | last |\n|---|---|---|\n"
        + "\n".join(rows)
    )


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else _plain(str(value))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:60]) + (f" and {len(names) - 60} more" if len(names) > 60 else "")


def _plain(text: str) -> str:
    """Keep a stranger's words from being Markdown or HTML."""
    return re.sub(r"[`|<>\[\]*\\]", " ", one_line(text, limit=300)).strip()
