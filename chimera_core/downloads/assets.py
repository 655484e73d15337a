"""Files of weights and data that are downloaded once, and used only when size and checksum are right.

A file is hashed once in every process that uses it, and no note "verified" is left beside it: at 0.9 GB/s the
575 MB of VGG19 cost 0.6 s of a command that takes many, the reading warms the disk cache for the loading, a disk
that went bad is noticed, and a note can only be wrong.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlsplit

from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.files.atomic import AnyPath, disk_trouble, one_line, quote
from chimera_core.files.own_folders import make_folder, move, open_own, refuse_link, remove_file
from chimera_core.options.config import suggest
from chimera_core.plugins.entries import HUB, AssetEntry
from chimera_core.plugins.registry import Registry
from chimera_core.plugins.settings import Settings

Progress = Callable[[float, float], None]

_log = logging.getLogger(__name__)


class DownloadRefusedError(ConfigError):
    """A download is asked for where none may be made."""


_refused_for: ContextVar[str] = ContextVar("refused_for", default="")


@contextmanager
def no_downloads(whose: str) -> Iterator[None]:
    """Refuse every download in the block.

    Args:
        whose: on whose behalf it would be made, as the message names it; empty: none is refused.
    """
    token = _refused_for.set(whose)
    try:
        yield
    finally:
        _refused_for.reset(token)


def check_may_download(what: str) -> None:
    """Ask before a download; a plugin that brings something by a library of its own asks, too.

    Args:
        what: would be brought, e.g. ``the weights of resnet50``.
    Raises:
        DownloadRefusedError: if it is on behalf of a file that the user has not said to trust.
    """
    if whose := _refused_for.get():
        raise DownloadRefusedError(
            f"{whose} asks for {one_line(what, limit=120)}, to be downloaded: add --fetch if you trust the file"
        )


def find_asset(
    registry: Registry, settings: Settings, name: str, *, progress: Progress | None = None
) -> Path:
    """Find an asset of a registry by its name, downloading it first if need be; see ``asset_path`` for what it raises.

    Args:
        registry: that of the host that asks: another one may mean another file by the same name.
        progress: called with (done, total) in bytes while it comes.
    Raises:
        ConfigError: if the registry has no such asset.
    """
    if name not in registry.assets:
        raise ConfigError(f"the registry has no asset '{name}'" + suggest(name, registry.assets))
    return asset_path(registry.assets[name], settings.path("assets"), progress=progress)


def asset_path(
    entry: AssetEntry, folder: AnyPath, *, progress: Progress | None = None, timeout_s: float = 30.0
) -> Path:
    """Find an asset in ``folder``, and download it first if it is not there.

    Under the asset's own name there is never anything but the right file: it grows as ``NAME.part``, which the
    next call goes on with, whatever ended this one. Two processes that want it download it once; the empty
    ``.NAME.lock`` that keeps them apart stays, because removing it would let a third one in between.

    Args:
        folder: where assets are kept, the setting ``assets`` (``CHIMERA_ASSETS``). It is made if need be.
        progress: called with (done, total) in bytes while it comes; the total is reached at the very end.
        timeout_s: longest silence of a server. A slow one may take as long as it likes.
    Returns:
        The path of the verified file.
    Raises:
        DataError: a file of that name lies there, but it is another one. It is left as it is.
        RunError: it could not be downloaded, with all that is needed to do so by hand; or the disk refuses.
    """
    path = Path(folder) / entry.filename
    if not os.path.exists(path):
        with work_alone(path):
            if not os.path.exists(path):  # another process may have brought it meanwhile
                _bring(entry, path, progress or _no_progress, timeout_s)
    try:
        trouble = _trouble(entry, path)
    except OSError as error:
        raise DataError(f"{quote(path)} cannot be read ({disk_trouble(error)})") from error
    if trouble:
        raise DataError(f"{quote(path)} {trouble}: remove it, and it will be downloaded anew")
    return path


@contextmanager
def work_alone(path: Path) -> Iterator[None]:
    """Wait until no other process works on a file that is brought from the network.

    Args:
        path: the file; its folder is made if need be. The system drops the lock of a process that died.
    Raises:
        RunError: if the disk refuses.
    """
    from chimera_core.files.locks import hold

    make_folder(path.parent)
    lock = path.with_name(f".{path.name}.lock")
    with hold(lock, what=path.name, work="fetched", wait=True, on_wait=_log.warning):
        yield


def _bring(entry: AssetEntry, path: Path, progress: Progress, timeout_s: float) -> None:
    """Try one place after the other.

    Raises:
        ConfigError: if it is on behalf of a file that is not trusted.
        RunError: if none gives the right file.
    """
    check_may_download(f"{entry.filename} ({entry.size:,} bytes)")
    # Not at the top: urllib costs 60 ms, and nearly every start finds its assets in place.
    from chimera_core.downloads.transfer import DownloadError, length_of, writing

    part = path.with_name(f"{path.name}.part")
    wanted = f"{entry.filename} ({entry.size:,} bytes, {_show_checksum(entry)})"
    refuse_link(part)  # of a folder that several people share: it would be written through
    missing = entry.size - length_of(part)
    with writing(path):
        free = shutil.disk_usage(path.parent).free
    if missing > free:
        raise RunError(
            f"cannot download {wanted}: {missing:,} bytes are missing, but the disk of {quote(path.parent)} has "
            f"only {free:,} free: free some space, or name another folder with CHIMERA_ASSETS"
        )
    causes = []
    for url in entry.places:
        try:
            _bring_from(url, entry, path, part, progress, timeout_s)
        except DownloadError as error:
            where = "the hub" if url.startswith(HUB) else urlsplit(url).hostname or "file"
            causes.append(f"{where}: {error}")
        else:
            progress(entry.size, entry.size)
            return
    by_hand = " or ".join(entry.places) + (f" (see {one_line(entry.home_page)})" if entry.home_page else "")
    raise RunError(
        f"cannot download {wanted}: {'; '.join(causes)}. Try again, or get it from {by_hand} and put it "
        f"into {quote(path.parent)} as {entry.filename}"
    )


def _bring_from(
    url: str, entry: AssetEntry, path: Path, part: Path, progress: Progress, timeout_s: float
) -> None:
    from chimera_core.downloads.transfer import DownloadError, fetch, length_of, writing

    # A part of an earlier call may be of another version, or zeros after a power cut: only the whole can be
    # verified. When it is wrong it was the part's fault or the server's, and one clean download tells.
    for continued in (length_of(part) > 0, False):
        if url.startswith(HUB):
            from chimera_core.downloads.hub import bring

            bring(url, part, size=entry.size, report=progress)
        else:
            fetch(url, part, size=entry.size, report=progress, timeout_s=timeout_s)
        with writing(path):
            # Without fsync a power cut after the rename can leave zeros under the right name.
            with open_own(part, "append") as file:
                os.fsync(file.fileno())
            trouble = _trouble(entry, part)
            if trouble is None:
                move(part, path, within=part.parent)
                return
            remove_file(part, within=part.parent)
        if not continued:
            raise DownloadError(f"it sent a file that {trouble}")
        _log.info("%s went on with an old part and came out wrong: starting afresh", part.name)


def _trouble(entry: AssetEntry, path: Path) -> str | None:
    """Return how a file differs from the asset, None if it is the one."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        return "is not a file"
    if found.st_size != entry.size:
        return f"has {found.st_size:,} bytes instead of {entry.size:,}"
    # Only what was right is remembered: a part that is removed and comes anew may get the same inode and time.
    key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, entry.checksum)
    if key not in _verified:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not digest.startswith(entry.checksum):
            return f"has sha256 {digest[: len(entry.checksum)]} instead of {entry.checksum}"
        _verified.add(key)
    return None


# Files that this process has hashed, by inode, size, time of change and checksum.
_verified: set[tuple[int, int, int, int, str]] = set()


def _show_checksum(entry: AssetEntry) -> str:
    return f"sha256 {entry.sha256}" if entry.sha256 else f"sha256 beginning with {entry.sha256_prefix}"


def _no_progress(done: float, total: float) -> None:
    pass
