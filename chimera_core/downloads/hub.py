"""Fetch from the Hugging Face hub, by addresses like ``hf://owner/name/file.safetensors@revision``.

``huggingface_hub`` (extra ``hf``) asks and fetches, because it knows the hub's login, its redirects and its storage; what it
brings is verified and kept as every asset is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimera_core.errors import ChimeraError, ConfigError, RunError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.own_folders import make_folder, move, remove_tree
from chimera_core.plugins.entries import HUB

_PARTS = re.compile(r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)/(?P<file>[^@]+?)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class HubAddress:
    """A file of a repository of models; an empty revision is ``main``."""

    repository: str
    file: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{HUB}{self.repository}/{self.file}" + (f"@{self.revision}" if self.revision else "")


def read_hub_address(address: str) -> HubAddress:
    """Read ``hf://owner/name/file@revision``.

    Raises:
        ConfigError: if it is written otherwise.
    """
    match = _PARTS.fullmatch(address)
    parts = match["file"].split("/") if match else [".."]
    if match is None or any(part in ("", ".", "..") for part in parts) or ".." in (match["revision"] or ""):
        raise ConfigError(
            f"{quote(one_line(address, limit=120))} is not hf://owner/name/file or .../file@revision"
        )
    return HubAddress(match["repository"], match["file"], match["revision"] or "")


def bring(address: str, part: Path, *, size: int, report: Callable[[float, float], None]) -> None:
    """Fetch a file of the hub as ``part``; the caller verifies it. What came of an earlier try is gone on with.

    Raises:
        DownloadError: if the hub does not give it.
        RunError: if the disk refuses.
    """
    # Not at the top: see ``assets``.
    from chimera_core.downloads.transfer import DownloadError, length_of, writing

    if length_of(part) == size:
        return
    asked = read_hub_address(address)
    with explained(DownloadError):
        hub = library()
        beside = make_folder(part.with_name(f".{part.name}.hub"), within=part.parent)
        found = hub.hf_hub_download(
            asked.repository,
            asked.file,
            revision=asked.revision or None,
            local_dir=str(beside),
            tqdm_class=_bar(report, size),
        )
    with writing(part):
        move(found, part, within=part.parent)
        remove_tree(beside, within=part.parent)


def hub_reason(error: BaseException) -> str:
    """Say in a line why the hub refused, and what to do.

    Args:
        error: of ``huggingface_hub``, ``datasets`` or the network.
    """
    kind = type(error).__name__
    return _REASONS.get(kind) or f"{kind}: {one_line(error, limit=200)}: check the connection and try again"


@contextmanager
def explained(kind: type[RunError], what: str = "") -> Iterator[None]:
    """Turn what the hub's library raises in the block into an error of one line.

    Args:
        kind: of error.
        what: was tried, as ``cannot download owner/name``.
    """
    try:
        yield
    except ChimeraError:
        raise
    except Exception as error:  # the library's border: it has errors of its own, httpx's, and the disk's
        reason = hub_reason(error)
        raise kind(f"{what} ({reason})" if what else reason) from error


def library() -> Any:
    """Import ``huggingface_hub``.

    Raises:
        ConfigError: if it is not installed, with the extra that brings it.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError(
            "addresses of the hub need huggingface_hub: pip install 'chimera-toolkit[hf]'"
        ) from error
    return huggingface_hub


def _bar(report: Callable[[float, float], None], size: int) -> type:
    """Make a bar that shows nothing and reports."""
    base: Any = library().utils.tqdm

    class Bar(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": False, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> Any:
            shown = super().update(n)
            if self.n < size:  # the whole is reported when it is verified
                report(float(self.n), float(size))
            return shown

    return Bar


_LOGIN = "check the name, or log in with `hf auth login`"
_REASONS = {
    "RepositoryNotFoundError": f"the hub has no such repository, or shows it only to those who are logged in: {_LOGIN}",
    "DatasetNotFoundError": f"the hub has no such data set, or shows it only to those who are logged in: {_LOGIN}",
    "GatedRepoError": "its authors ask you to accept their terms first: do so on its page, then `hf auth login`",
    "RevisionNotFoundError": "it has no such revision: check it",
    "EntryNotFoundError": "the repository has no such file: check its name",
    "RemoteEntryNotFoundError": "the repository has no such file: check its name",
    "LocalEntryNotFoundError": "the hub cannot be reached, or its offline mode is on (HF_HUB_OFFLINE)",
    "OfflineModeIsEnabled": "the hub's offline mode is on: unset HF_HUB_OFFLINE",
    "LocalTokenNotFoundError": "you are not logged in: `hf auth login`",
}
