"""Windows and macOS, as far as Linux can play them: what they lack, how they spell, how they start processes."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
COMPOSED = ("Épagneul", "Größe")
PARTED = tuple(unicodedata.normalize("NFD", name) for name in COMPOSED)

WINDOWS = """
import builtins, importlib, io, json, multiprocessing, os, signal, subprocess, sys

LACKS = (
    "fork forkpty geteuid getuid getegid getgid getpgid getpgrp setsid killpg nice sysconf sched_getaffinity mkfifo chown "
    "getloadavg"  # what libraries ask for that take this for Linux stays: O_NONBLOCK (filelock), statvfs (shutil)
)
SIGNALS = "SIGHUP SIGQUIT SIGALRM SIGUSR1 SIGUSR2 SIGPIPE pthread_kill alarm setitimer"

def play_windows():
    # Others' modules come first: here it is ours that are asked. Not above: a spawned process would import them, too.
    import click, cv2, filelock, matplotlib, numpy, PIL.Image, platformdirs, psutil, pydantic, scipy, timm, torch
    import torch.utils.data, torchvision

    for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"):
        sys.modules[name] = None  # import then raises ImportError
    for name in LACKS.split():
        if hasattr(os, name):
            delattr(os, name)
    for name in SIGNALS.split():
        delattr(signal, name)
    kill = os.kill

    def ends(pid, number):
        assert number, "signal 0 is Ctrl-C on Windows"
        kill(pid, number)

    os.kill = ends
    multiprocessing.set_start_method("spawn")
    from chimera_core.files import names as file_names

    file_names.on_windows = lambda: True
"""
MODULES = f"""{WINDOWS}
play_windows()
for name in sys.argv[1:]:
    importlib.import_module(name)
from chimera_core.host_memory import available_bytes, resident_bytes
assert available_bytes() > 0
assert resident_bytes(os.getpid()) > 0
print(len(sys.argv) - 1)
"""
COMMANDS = f"""{WINDOWS}
if __name__ == "__main__":
    if sys.argv[1] == "windows":
        play_windows()
    else:
        multiprocessing.set_start_method("spawn")
    from chimera_core.cli._streams import prepare_streams
    from chimera_core.cli.root import run

    prepare_streams()
    for line in json.loads(sys.argv[2]):
        print("code", run(line), flush=True)
"""


def modules() -> Iterator[str]:
    for top in (REPOSITORY / "chimera_core", *sorted((REPOSITORY / "plugins").iterdir())):
        for file in sorted(top.rglob("*.py")):
            parts = file.relative_to(top.parent).with_suffix("").parts
            # Gradio's parts ask the real system when they are imported.
            is_page = "studio" in parts and parts[-1].startswith(("page", "photograph"))
            if not is_page and "models" not in parts and "testing" not in parts and parts[-1] != "__main__":
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def environment(folder: Path) -> dict[str, str]:
    own = {name: str(folder / name.lower()) for name in ("CHIMERA_CACHE", "CHIMERA_RUNS", "CHIMERA_LIBRARY")}
    return os.environ | own | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "0"}


def run_lines(system: str, lines: list[list[str]], folder: Path) -> str:
    """Run command lines in one process of that system; all must end well."""
    script = folder / "script.py"
    script.write_text(COMMANDS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script, system, json.dumps(lines)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        timeout=240,
    )
    out, err = done.stdout.decode("cp1252"), done.stderr.decode("cp1252")
    assert done.returncode == 0, err
    assert "Traceback" not in err, err
    codes = [line for line in out.splitlines() if line.startswith("code ")]
    assert codes == ["code 0"] * len(lines), out + err
    return out


def draw(folder: Path, names: tuple[str, ...], *, count: int = 4) -> None:
    random = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for k in range(count):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}-{k}.png")


@pytest.mark.slow
def test_every_module_is_imported_where_posix_is_not(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(MODULES, encoding="utf-8")
    names = list(modules())
    done = subprocess.run(
        [sys.executable, script, *names],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout.split()[-1] == str(len(names)).encode()
    assert len(names) > 150


@pytest.mark.slow
@pytest.mark.parametrize("system", ["windows", "mac"])
def test_the_everyday_commands_work_on_other_systems(system: str, tmp_path: Path) -> None:
    """Accents are parted on the disk and composed on the line, what is printed is cp1252, and processes are spawned."""
    draw(tmp_path / "data", PARTED)
    photographs = [str(next((tmp_path / "data" / name).iterdir())) for name in PARTED]
    source = ["--source", "folder", "--source.root", str(tmp_path / "data")]
    fusing = ["fuse", *COMPOSED, *source, "--fuser", "pixel-average", "--size", "32"]
    train = [
        "encoder",
        "train",
        *source,
        "--encoder",
        "cnn",
        "--size",
        "32",
        "--images",
        "16",
        "--batch",
        "4",
    ]
    train += ["--device", "cpu", "--run", COMPOSED[0]]
    rows = f'tuples = [["{PARTED[0]}", "{COMPOSED[1]}"]]\nsource = "folder"\noptions = {{ root = "data" }}\n'
    (tmp_path / "experiment.toml").write_text(
        f'name = "{COMPOSED[1]}"\nsize = 32\nseeds = [0]\nweights = [[0.5, 0.5]]\n[parents]\n{rows}'
        '[judge]\nencoder = "robust-small-64"\n[fusers.average]\nfuser = "pixel-average"\n',
        encoding="utf-8-sig",  # an editor of Windows
        newline="\r\n",
    )
    fusing[1:3] = COMPOSED[0], PARTED[1]
    out = run_lines(
        system,
        [
            [
                "source",
                "prepare",
                "folder",
                "--root",
                str(tmp_path / "data"),
                "--size",
                "32",
                "--workers",
                "1",
            ],
            [*fusing, "-o", str(tmp_path / "Größe.png")],
            ["library", "add", "Größe", photographs[0]],
            ["library", "list"],
            train,
            ["runs", "list"],
            ["runs", "show", PARTED[0]],
            ["compare", "experiment.toml", "--device", "cpu", "--jobs", "1"],
        ],
        tmp_path,
    )
    assert (tmp_path / "Größe.png").is_file()
    assert COMPOSED[0] in out
    assert (tmp_path / "chimera_runs" / COMPOSED[1] / "comparison.json").is_file()


def test_accents_spelled_two_ways_are_one_class(tmp_path: Path) -> None:
    from chimera_core.api import open_source

    draw(tmp_path / "train", (*COMPOSED[:1], *PARTED[1:]))
    draw(tmp_path / "val", (*PARTED[:1], *COMPOSED[1:]))
    source = open_source("folder", root=str(tmp_path))
    assert source.info.classes == tuple(sorted(COMPOSED))
    assert len(source.open("train").labels) == 8


def test_an_animal_s_folder_is_no_device_and_one_for_either_spelling() -> None:
    from chimera_inaturalist.config import class_name

    assert [class_name(name) for name in ("Con", "Aux", "con-1", "Lion")] == [
        "con-1",
        "aux-1",
        "con-1",
        "lion",
    ]
    assert class_name(PARTED[0]) == class_name(COMPOSED[0]) == "épagneul"


def text_without_encoding(file: Path) -> Iterator[int]:
    """Lines that open text in whatever encoding, or write it with whatever newlines, the system has."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        keys = {key.arg for key in node.keywords}
        if name in ("read_text", "write_text"):
            is_ours = not called.startswith("importlib")
            is_missing = "encoding" not in keys and len(node.args) < (1 if name == "read_text" else 2)
            is_missing |= name == "write_text" and "newline" not in keys
        elif called in ("open", "io.open", "os.fdopen", "gzip.open", "NamedTemporaryFile", "TemporaryFile"):
            mode = next((ast.unparse(k.value) for k in node.keywords if k.arg == "mode"), "'r'")
            mode = ast.unparse(node.args[1]) if len(node.args) > 1 else mode
            is_ours = "b" not in mode
            is_missing = "encoding" not in keys or (any(c in mode for c in "wax+") and "newline" not in keys)
        elif called in ("subprocess.run", "subprocess.Popen", "subprocess.check_output"):
            is_ours = bool(keys & {"text", "universal_newlines"})
            is_missing = "encoding" not in keys
        else:
            continue
        if is_ours and is_missing:
            yield node.lineno


@pytest.mark.slow
def test_text_has_one_encoding_and_one_newline_on_every_system() -> None:
    found = [
        f"{file.relative_to(REPOSITORY)}:{line}"
        for folder in ("chimera_core", "plugins")
        for file in sorted((REPOSITORY / folder).rglob("*.py"))
        for line in text_without_encoding(file)
    ]
    assert not found, "give encoding='utf-8', and newline='\\n' for what is written"


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "open(path, 'w', encoding='utf-8')",
        "path.read_text()",
        "path.write_text(text, encoding='utf-8')",
        "subprocess.run(command, text=True)",
        "os.fdopen(1, 'w')",
    ],
)
def test_the_search_for_text_without_encoding_finds_it(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(line, encoding="utf-8")
    assert list(text_without_encoding(tmp_path / "a.py")) == [1]
