"""One process at a time in one place: the system's lock, and beside it who holds it. Torch-free.

The system drops a lock when its process ends, however that came. But it does not say who holds one, and some network
folders keep each machine's locks to itself or know none at all. So the holder leaves its name beside the lock and
touches it every ``BEAT_S``. Which of the two decides:

- a holder that runs on this very kernel: the system's lock; where the folder has none, whether its process lives;
- one on another machine: its sign of life. It holds the place while that is younger than ``SILENCE_S`` by the
  folder's own clock. So who loses a machine waits for so long, and no clock of another machine is trusted.
"""

from __future__ import annotations

import datetime
import errno
import json
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.files.atomic import disk_trouble, one_line, quote, sweep_once
from chimera_core.files.leftovers import begun, kernel, temporary_name
from chimera_core.files.names import on_windows
from chimera_core.files.text import read_json_table

BEAT_S = 15.0
_MOST_BYTES = 1 << 16
SILENCE_S = 120.0
_POLL_S = 0.2
# Whoever asks who holds a lock has it for that moment, and whoever takes it has left no name for one: both pass.
_GLANCES = 5
_GLANCE_S = 0.02
# What file systems answer that know no locks: some mounts of NFS, FUSE, old SMB.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """Who works in a place.

    Attributes:
        work: what is done there, as a participle: ``trained``.
        pid: its process.
        host: name of its machine.
        kernel: which boot of which machine that is; empty where the system does not say.
        begun: when that process began, in the system's ticks, so that its number given anew is not mistaken for it.
        since: when it took the place, in seconds since 1970.
    """

    work: str
    pid: int
    host: str
    kernel: str
    begun: str
    since: float

    def __str__(self) -> str:
        when = datetime.datetime.fromtimestamp(self.since).strftime("%Y-%m-%d %H:%M:%S")
        return f"process {self.pid} on {one_line(self.host)} since {when}"


def holder_of(lock: Path) -> Holder | None:
    """Give who holds a lock now; None when nobody does: a process that died holds nothing."""
    holder = _read(_name(lock))
    if holder is None:
        return None
    if not _is_here(holder):
        return holder if _silence_s(lock) < SILENCE_S else None
    try:
        with _system_lock(lock):
            return None
    except _Held:
        return holder
    except (_NoLocks, OSError):  # or a folder that this user may not write
        return holder if _is_running(holder, lock) else None


@contextmanager
def hold(
    lock: Path,
    *,
    what: str,
    work: str,
    wait: bool = False,
    on_wait: Callable[[str], None] = lambda line: None,
) -> Iterator[None]:
    """Keep all other processes out of a place while the block runs.

    Args:
        lock: an empty file that stays: removing it would let a third one in between two. ``LOCK.json`` beside it names
            the holder. Its folder must be there.
        what: the place in messages: ``run a``.
        work: what is done there, as a participle: ``trained``.
        wait: wait for another process; else it is an error that there is one.
        on_wait: called once with what is waited for.
    Raises:
        ConfigError: if another process works there, saying which.
        RunError: if the disk refuses.
    """
    for file in (lock, _name(lock)):
        if file.is_symlink():
            raise ConfigError(f"{quote(file)} is a link, and locks are files: remove it")
    is_first, glances = True, 0
    with ExitStack() as stack:
        while (holder := _enter(stack, lock, work)) is not None:
            stack.close()
            if glances < _GLANCES and not _is_living(holder, lock):
                glances += 1
                time.sleep(_GLANCE_S)
                continue
            by = f"being {holder.work} by {holder}" if holder.pid else f"being {work} by another process"
            if not wait:
                raise ConfigError(f"{what} is {by}: wait for it, or end it first")
            if is_first:
                on_wait(f"{what} is {by}: waiting for it")
                is_first = False
            time.sleep(_POLL_S)
        over = threading.Event()
        beat = threading.Thread(target=_beat, args=(_name(lock), over), daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            with suppress(OSError):
                _name(lock).unlink()


_UNKNOWN = Holder("", 0, "", "", "", 0.0)


class _Held(Exception):
    """Another process holds the system's lock."""


class _NoLocks(Exception):
    """The folder knows no locks."""


def _name(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.json")


def _enter(stack: ExitStack, lock: Path, work: str) -> Holder | None:
    """Take a lock and leave one's name; give who has it instead, where another one does."""
    try:
        try:
            stack.enter_context(_system_lock(lock))
            is_locked = True
        except _NoLocks:
            is_locked = False
        return _take(lock, work, is_locked=is_locked)
    except _Held:
        return _read(_name(lock)) or _UNKNOWN
    except OSError as error:
        raise RunError(f"cannot write {quote(lock)}: {disk_trouble(error)}") from error


@contextmanager
def _system_lock(lock: Path) -> Iterator[None]:
    import filelock

    held = filelock.FileLock(lock)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        raise _Held from None
    except NotImplementedError:
        raise _NoLocks from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise _NoLocks from None
        raise
    try:
        yield
    finally:
        held.release()


def _take(lock: Path, work: str, *, is_locked: bool) -> Holder | None:
    """Write one's name beside a lock; give the other one whose name stands there rightly."""
    path = _name(lock)
    own = Holder(work, os.getpid(), platform.node(), kernel(), begun(os.getpid()), time.time())
    draft = path.with_name(temporary_name(path.name))
    sweep_once(path.parent)
    try:
        draft.write_text(json.dumps(asdict(own)), encoding="utf-8", newline="\n")
        for _ in range(3):  # another machine may put its name there in between
            with suppress(FileExistsError):
                _put(draft, path)
                return None
            other = _read(path)
            if other is not None and _holds(other, lock, is_locked=is_locked):
                return other
            with suppress(FileNotFoundError):
                path.unlink()  # of one that died
        return _UNKNOWN
    finally:
        with suppress(OSError):
            draft.unlink()


def _holds(holder: Holder, lock: Path, *, is_locked: bool) -> bool:
    """Return whether one whose name stands beside a lock has it still, where the system's lock is had or there is none."""
    if _is_here(holder):
        return not is_locked and _is_running(holder, lock)
    return _silence_s(lock) < SILENCE_S


def _put(draft: Path, path: Path) -> None:
    """Give a file its name if there is none of that name yet, whole and at once."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a folder without hard links: at once, but for a moment not whole
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.write(draft.read_text(encoding="utf-8"))


def _read(path: Path) -> Holder | None:
    """Read who holds a lock; None where nobody says so."""
    try:
        holder = Holder(**read_json_table(path, most_bytes=_MOST_BYTES))
    except (OSError, DataError, TypeError):
        return None
    fields = (holder.host, holder.kernel, holder.begun, holder.work)
    is_sound = isinstance(holder.pid, int) and isinstance(holder.since, float) and math.isfinite(holder.since)
    return holder if is_sound and all(isinstance(field, str) for field in fields) else None


def _is_here(holder: Holder) -> bool:
    return holder.kernel == kernel() and (bool(holder.kernel) or holder.host == platform.node())


def _is_living(holder: Holder, lock: Path) -> bool:
    """Return whether the name of a holder is there, and not of one that died on this machine."""
    return bool(holder.pid) and not (_is_here(holder) and not _is_running(holder, lock))


def _silence_s(lock: Path) -> float:
    """Give the time since the holder's last sign of life, by the clock of the folder."""
    now = time.time()
    with suppress(OSError):  # a folder that cannot be written
        os.utime(lock)
        now = lock.stat().st_mtime
    try:
        return now - _name(lock).stat().st_mtime
    except OSError:
        return float("inf")


def _is_running(holder: Holder, lock: Path) -> bool:
    """Return whether a process of this machine still runs, and is the one that took the lock."""
    if on_windows():
        # There signal 0 is Ctrl-C: asking so would end the process.
        return _silence_s(lock) < SILENCE_S
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return begun(holder.pid) == holder.begun


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with suppress(OSError):
            os.utime(path)
