"""The run folder: what one command produced, and enough to know how."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chimera_core import __version__
from chimera_core.errors import ChimeraError, ConfigError, DataError, RunError
from chimera_core.files.atomic import one_line, quote, write_text_atomic
from chimera_core.files.leftovers import is_temporary
from chimera_core.files.locks import Holder, hold, holder_of
from chimera_core.files.names import path_trouble, spelled_in
from chimera_core.files.own_folders import inside, make_folder
from chimera_core.files.text import read_json_table
from chimera_core.files.toml import write_toml
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.config import FILE as CONFIG

RECORD = "run.json"
_LOCK = ".lock"
_TEXT_FIELDS = (
    "status kind written device source content data precision encoder trainer fuser experiment fingerprint"
)
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_TEXT_FIELDS.split(), str),
    **dict.fromkeys(("command", "classes", "accepts", "fusers"), list),
    **dict.fromkeys(("seed", "images", "size", "max_parents"), int),
    **dict.fromkeys(("versions", "final"), dict),
    "wall_s": (int, float),
    "parameters": (int, dict),
}
"""What the values of a record are that anything is made of; a run may be a stranger's, or of an older version."""
_VERSIONS_OF = ("torch", "torchvision", "timm", "numpy", "pillow", "opencv-python-headless")


def make_run_folder(path: Path) -> Path:
    """Make the folder of a run, with the folders above it where they are missing.

    Raises:
        ConfigError: if a file is in the way, or a link to a folder of other things.
        RunError: if the disk refuses.
    """
    if os.path.islink(path) and not os.path.isfile(path / RECORD) and _holds_something(path):
        raise ConfigError(
            f"the run folder {quote(path)} is a link to a folder that is not a run, whose files would be replaced: "
            "name another with --run"
        )
    if any(os.path.exists(place) and not os.path.isdir(place) for place in (path, *path.parents)):
        raise ConfigError(f"the run folder {quote(path)} lies at or under a file: name another with --run")
    return make_folder(path, mend="name another with --run")


def _holds_something(folder: Path) -> bool:
    with suppress(OSError):
        return bool(os.listdir(folder))
    return False


@contextmanager
def work_in(folder: Path, *, work: str) -> Iterator[None]:
    """Make the folder of a run, and keep all other processes from working in it while the block runs.

    Args:
        folder: of the run.
        work: what is done, as a participle: ``trained``.
    Raises:
        ConfigError: if a file is in the way, or another process works there: which one, and since when.
        RunError: if the disk refuses.
    """
    make_run_folder(folder)
    begins = is_untouched(folder)
    with hold(folder / _LOCK, what=f"run {one_line(folder.name)}", work=work):
        try:
            yield
        except BaseException:
            if begins and is_untouched(folder):  # it failed before it was there: nothing is left of it
                with suppress(OSError):
                    for file in folder.iterdir():
                        file.unlink()
                    folder.rmdir()
                    folder.parent.rmdir()  # the folder of runs, where this was to be the first
            raise


@contextmanager
def noting_failure(note: Callable[..., object]) -> Iterator[None]:
    """Note how work ended that the block gives up, so that its record does not stay ``running``.

    Args:
        note: called with the status, ``interrupted`` or ``failed``, and in the latter case with ``error``, one line.
    """
    try:
        yield
    except BaseException as error:
        with suppress(RunError):  # of a full disk: what is wrong is said all the same
            if isinstance(error, KeyboardInterrupt):
                note("interrupted")
            else:
                note("failed", error=one_line(str(error) or repr(error)))
        raise


def check_free(folder: Path) -> None:
    """Refuse a run that another process works in; ``work_in`` asks again, when there is something to do.

    Raises:
        ConfigError: saying which process.
    """
    if holder := run_holder(folder):
        raise ConfigError(
            f"run {one_line(folder.name)} is being {holder.work} by {holder}: wait for it, or end it first"
        )


def run_holder(folder: Path) -> Holder | None:
    """Give the process that works in a run's folder now; None if there is none."""
    return holder_of(folder / _LOCK)


def is_untouched(folder: Path) -> bool:
    """Return whether a run may begin in a folder: there is none, or nothing in it but what one left that never began.

    A run has begun when its record is there. Before that lie its lock, what was half-written when it was killed, and its
    options: these only beside the name of a process that died, since else they are a user's.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    names = {file.name for file in folder.iterdir()}
    rest = {name for name in names if not name.startswith(_LOCK) and not is_temporary(name)}
    return rest <= ({CONFIG} if f"{_LOCK}.json" in names else set())


def run_status(folder: Path, record: Mapping[str, Any]) -> str:
    """Return how a run stands: what its record says, but ``died`` where that says running and nobody works there."""
    status = str(record.get("status", "unknown"))
    return "died" if status == "running" and run_holder(folder) is None else status


def note_death(folder: Path, reason: str) -> None:
    """Put an end to a record that says ``running`` of a run whose processes are known to have ended."""
    with suppress(ChimeraError):  # no record yet, or a full disk: the caller has more to say
        record = read_run_record(folder)
        if run_status(folder, record) == "died":
            _write_record(folder, {**record, "status": "failed", "error": one_line(reason)})


def write_run_record(
    folder: Path, host: PluginHost, *, status: str, seed: int, device: str, **facts: Any
) -> None:
    """Write ``run.json``: status, command, seed, commit, versions, device, plugins, and the given facts."""
    record: Mapping[str, Any] = {
        "status": status,
        "command": ["chimera", *sys.argv[1:]],
        "seed": seed,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "versions": versions(),
        "device": device,
        "plugins": [
            {"name": r.name, "distribution": r.distribution, "version": r.version, "status": r.status}
            for r in host.records
        ],
        **facts,
    }
    _write_record(folder, record)


def read_run_record(folder: Path) -> dict[str, Any]:
    """Read what a run says of itself.

    Raises:
        ConfigError: if there is no run, or its record is damaged.
        DataError: if its record is a link out of the folder.
    """
    path = inside(folder, RECORD)
    try:
        record = read_json_table(path, mend="name another run, or get it anew")
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"there is no run {quote(folder)}: check its name") from None
    except DataError as error:
        raise ConfigError(f"{error}") from None
    for key, type_ in _TYPES.items():
        if not _is_of(record.get(key), type_):
            raise ConfigError(
                f"{quote(path)} is damaged: {key} is {one_line(repr(record[key]), limit=60)}: name another run, or get "
                "it anew"
            )
    return record


def _is_of(value: Any, type_: type | tuple[type, ...]) -> bool:
    """Return whether a value of a record is of a type, or not known; whole numbers fit into 64 bits, lists hold words."""
    if value is None:
        return True
    if not isinstance(value, type_) or isinstance(value, bool):
        return False
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    if isinstance(value, (int, float)):
        return abs(value) < 1 << 63  # neither does NaN
    return True


def find_run(name: str, runs: Path) -> Path | None:
    """Look a run up: a folder, or a name below the folder of runs; None if there is none."""
    for folder in (Path(os.path.expanduser(name)), runs / _spelled_below(runs, name)):
        if name and (folder / RECORD).is_file():
            return folder
    return None


def place_run(name: str, runs: Path) -> Path:
    """Return where a run of this name lies: a bare name below the folder of runs, a path where it says.

    Raises:
        ConfigError: for a name that this system would take for another one or for a device.
    """
    if trouble := path_trouble(name):
        raise ConfigError(f"{quote(name)} cannot name a run here: {trouble}: choose another")
    path = Path(os.path.expanduser(name))
    is_bare = len(path.parts) == 1 and name not in (".", "..")
    return runs / _spelled_below(runs, name) if is_bare else path


def _spelled_below(folder: Path, name: str) -> str:
    """Give a name with its accents as an entry of a folder spells them: other systems may have written it."""
    if not name.isascii():
        with suppress(OSError):
            return spelled_in(os.listdir(folder), name) or name
    return name


def write_run_config(folder: Path, command: str, **values: Any) -> None:
    """Write ``config.toml``: every resolved value, so that ``chimera COMMAND --config`` of it runs the same again.

    Args:
        folder: of the run.
        command: e.g. ``"fuse"`` or ``"encoder train"``.
        values: by the names of the command's options, with _ for -; components as ``Choice.as_table`` gives them.
    """
    again = f"chimera {command} --config {quote(folder / 'config.toml')}"
    comment = f"Every value of this run, with chimera-toolkit {__version__}. The same again: {again}"
    write_toml(folder / CONFIG, {"command": command, **values}, comment=comment)


def versions() -> dict[str, str]:
    """Give the versions of Chimera, Python and the libraries that numbers depend on, without importing them."""
    found = {"chimera-toolkit": __version__, "python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    write_text_atomic(folder / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def git_commit() -> str | None:
    """Name the commit of the checkout that this code runs from; None when it is installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        shown = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return shown.stdout.strip() or None
