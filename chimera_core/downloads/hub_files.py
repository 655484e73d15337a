"""Files of the hub among our assets: pinned to a commit at the first use, verified at each.

Beside a file lies a note of size and checksum: what lies there is used without the network, and another file is
refused. A revision means the commit that it was found to be at first; another commit comes when it is named.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from chimera_core.downloads import assets
from chimera_core.downloads.hub import HubAddress, bring, explained, library, read_hub_address
from chimera_core.errors import DataError, RunError
from chimera_core.files.atomic import atomic_path, quote
from chimera_core.files.own_folders import make_folder, remove_file
from chimera_core.files.text import parse_json
from chimera_core.plugins.entries import AssetEntry

FOLDER = "hub"
"""Where files lie among the assets: ``hub/OWNER--NAME/COMMIT/FILE``."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REFS = "refs.json"


def pin(address: str, folder: Path) -> str:
    """Give an address with the commit that its revision was found to be; unchanged while no file of it is here."""
    asked = read_hub_address(address)
    return str(replace(asked, revision=_commit_of(asked, folder) or asked.revision))


def local_hub_file(address: str, folder: Path) -> Path | None:
    """Say where the file of an address lies; None if it was never brought. The hub is not asked.

    Args:
        folder: of the assets.
    """
    asked = read_hub_address(address)
    if commit := _commit_of(asked, folder):
        path = _home_of(asked, folder) / commit / asked.file
        return path if path.is_file() else None
    return None


def hub_file(address: str, folder: Path, *, progress: assets.Progress | None = None) -> Path:
    """Find a file of the hub among the assets, fetching it first if need be.

    Args:
        address: ``hf://owner/name/file@revision``.
        folder: of the assets.
        progress: called with (done, total) in bytes while it comes.
    Returns:
        The verified file.
    Raises:
        ConfigError: if the address is none, or huggingface_hub is not installed.
        DataError: if the file is not the one that was fetched.
        RunError: if the hub does not give it.
    """
    asked = read_hub_address(address)
    home = _home_of(asked, folder)
    commit = _commit_of(asked, folder)
    noted = _read_table(_note_of(home, commit, asked.file)) if commit else {}
    if not noted:
        assets.check_may_download(str(asked))
        make_folder(home)
        with assets.work_alone(home / asked.file.replace("/", "--")):
            commit, noted = _ask(asked, home)
    target = home / commit / asked.file
    try:
        entry = AssetEntry(
            url=str(replace(asked, revision=commit)),
            filename=target.name,
            size=noted["size"],
            sha256=noted["sha256"],
            licence="see its card",
        )
    except (KeyError, ValueError) as error:
        note = _note_of(home, commit, asked.file)
        raise DataError(f"{quote(note)} is damaged: remove it, and the file will be fetched anew") from error
    return assets.asset_path(entry, target.parent, progress=progress)


def _ask(asked: HubAddress, home: Path) -> tuple[str, dict[str, Any]]:
    """Ask for commit, size and checksum, and note them."""
    with explained(RunError, f"cannot download {asked}"):
        hub = library()
        url = hub.hf_hub_url(asked.repository, asked.file, revision=asked.revision or None)
        found = hub.get_hf_file_metadata(url)
        commit, size, tag = str(found.commit_hash or ""), int(found.size or 0), str(found.etag or "")
    if not _COMMIT.fullmatch(commit):
        raise RunError(f"cannot download {asked}: the hub does not say of which commit it is")
    target = home / commit / asked.file
    noted = {"size": size, "sha256": tag}
    if not re.fullmatch(r"[0-9a-f]{64}", tag):
        # A small file is kept in git, whose own checksum is another: its bytes are needed for ours.
        make_folder(target.parent, within=home)
        part = target.with_name(f"{target.name}.part")
        bring(str(replace(asked, revision=commit)), part, size=size, report=lambda done, total: None)
        body = part.read_bytes()
        if hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest() != tag:
            remove_file(part, within=home)
            raise RunError(f"cannot download {asked}: the hub sent another file than it announced: try again")
        noted["sha256"] = hashlib.sha256(body).hexdigest()
    _write_table(_note_of(home, commit, asked.file), noted)
    _write_table(home / _REFS, {**_read_table(home / _REFS), asked.revision or "main": commit})
    return commit, noted


def _commit_of(asked: HubAddress, folder: Path) -> str:
    if _COMMIT.fullmatch(asked.revision):
        return asked.revision
    found = _read_table(_home_of(asked, folder) / _REFS).get(asked.revision or "main", "")
    return found if isinstance(found, str) and _COMMIT.fullmatch(found) else ""


def _home_of(asked: HubAddress, folder: Path) -> Path:
    return Path(folder) / FOLDER / asked.repository.replace("/", "--")


def _note_of(home: Path, commit: str, file: str) -> Path:
    return home / commit / f"{file}.json"


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{quote(path)} is damaged: remove it, and the file will be fetched anew") from error
    return table if isinstance(table, dict) else {}


def _write_table(path: Path, table: dict[str, Any]) -> None:
    make_folder(path.parent)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(table, indent=2), encoding="utf-8", newline="\n")
