"""Put an exported file onto the Hugging Face hub, with its card and samples. Only a command that names the hub does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chimera_core.downloads.hub import HubAddress, explained, library
from chimera_core.errors import RunError
from chimera_core.files.own_folders import inside

CARD = "README.md"


def samples_of(run: Path) -> dict[str, tuple[Path, str]]:
    """List the pictures of a run that go along: by the name that they get, the file and what it shows.

    Raises:
        DataError: if one is a link that leads out of the run.
    """
    found: dict[str, tuple[Path, str]] = {}
    drawn = sorted(p.name for p in inside(run, "samples").glob("*.png"))
    for name, is_sweep, what in (
        ("samples.png", False, "Samples"),
        ("sweeps.png", True, "From class to class"),
    ):
        if chosen := [file for file in drawn if file.endswith("-sweeps.png") == is_sweep]:
            found[name] = (inside(run, f"samples/{chosen[-1]}"), what)
    if (progress := inside(run, "progress.png")).is_file():
        found["progress.png"] = (progress, "Progress")
    return found


def publish(address: HubAddress, files: Mapping[str, Path], card: str, *, private: bool) -> tuple[str, bool]:
    """Upload files in one commit; the repository is made if need be.

    Args:
        address: where the weights go.
        files: by name in the repository, where each lies.
        card: text of its card. A card that is there already stays: it may have been written by hand.
        private: whether a new repository is.
    Returns:
        The commit, and whether the card was written.
    Raises:
        ConfigError: if huggingface_hub is not installed.
        RunError: if the hub refuses.
    """
    hub = library()
    with explained(RunError, f"cannot publish {address}"):
        api = hub.HfApi()
        api.create_repo(address.repository, private=private, exist_ok=True)
        is_new = not api.file_exists(address.repository, CARD)
        added = [hub.CommitOperationAdd(name, str(path)) for name, path in files.items()]
        if is_new:
            added.append(hub.CommitOperationAdd(CARD, card.encode()))
        made = api.create_commit(address.repository, added, commit_message=f"Add {address.file}")
        return str(made.oid), is_new
