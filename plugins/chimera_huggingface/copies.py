"""Where downloaded copies lie, and what is known of each: commit, licence, citation.

A copy is what ``save_to_disk`` writes: Arrow files that are mapped into memory, in which images stay as they were
encoded. It is opened without the network, by anyone who has the folder.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from chimera_core.api import DataError, MissingDataError, atomic_path, default_data_root, describe_folder
from chimera_huggingface.config import HuggingFaceConfig

RECORD = "chimera.json"
LATEST = "latest.json"


@dataclass(frozen=True)
class Record:
    """What is known of a copy."""

    name: str
    config: str
    commit: str
    licence: str = ""
    citation: str = ""
    home_page: str = ""


def family_of(config: HuggingFaceConfig) -> Path:
    """Give the folder of all commits of a data set and configuration."""
    root = Path(os.path.expanduser(config.root)) if config.root else default_data_root("huggingface")
    part = re.sub(r"[^\w.-]", "-", config.config or "default")
    if config.stream:
        part += f"-stream{config.stream}"
    return root / config.name.replace("/", "--") / part


def find_copy(config: HuggingFaceConfig) -> tuple[Path, Record]:
    """Find the copy of the asked revision.

    Raises:
        MissingDataError: if it is not here.
        DataError: if its record cannot be read.
    """
    family = family_of(config)
    commit = _read_table(family / LATEST).get(config.revision) or config.revision
    folder = family / commit if commit else family
    if not commit or not (folder / RECORD).is_file():
        options = "".join(
            f" --{key} {value}"
            for key in ("config", "revision", "stream", "root")
            if (value := getattr(config, key))
        )
        asked = f" at revision {config.revision}" if config.revision else ""
        raise MissingDataError(
            f"{config.name}{asked} is not in '{family}' ({describe_folder(family)}): `chimera source prepare huggingface "
            f"--name {config.name}{options} --download` brings it",
            downloadable=True,
        )
    table = _read_table(folder / RECORD)
    known = {field.name for field in fields(Record)}
    return folder, Record(
        **{"name": config.name, "config": "", "commit": commit}
        | {k: v for k, v in table.items() if k in known}
    )


def write_record(folder: Path, record: Record) -> None:
    """Write what is known of a copy into its folder."""
    with atomic_path(folder / RECORD) as path:
        path.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8", newline="\n")


def note_latest(config: HuggingFaceConfig, commit: str) -> None:
    """Note which commit the asked revision means from now on."""
    path = family_of(config) / LATEST
    table = _read_table(path) | {config.revision: commit}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(table, indent=2), encoding="utf-8", newline="\n")


def _read_table(path: Path) -> dict[str, str]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' cannot be read: remove it, and download the data set anew") from error
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise DataError(f"'{path}' is not a record of ours: remove it, and download the data set anew")
    return table
