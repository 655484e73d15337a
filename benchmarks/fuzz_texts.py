"""Thousands of damaged text files through their readers: counts by kind and outcome, the slowest and the greediest.

Run: python benchmarks/fuzz_texts.py [--files 2000] [--seed 0]

The law: a value or an error of our own in one line that prints, never another exception, never over 1 GB of memory or 5 s
each. Files are config, experiment, registry, run, comparison, index of packed data, cell, checkpoint, metrics, lock and header
of exported weights; each is damaged byte by byte, or by putting something that no writer of ours writes in a value's place.
Seconds are the process's own CPU time; memory is the peak beyond what was there before.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz_images import LIMIT_BYTES, LIMIT_S, peak_beyond, reset_peak

from chimera_core.compare.experiment.cells import read_record
from chimera_core.compare.experiment.file import read_experiment
from chimera_core.data.packed import read_index
from chimera_core.errors import ChimeraError
from chimera_core.files.locks import holder_of
from chimera_core.files.toml import to_toml
from chimera_core.models.header import ExportedFuser, read_header
from chimera_core.options.config import Config
from chimera_core.options.layers import build_config
from chimera_core.options.training import FuserTraining
from chimera_core.plugins.registry import read_registry, shipped_registry
from chimera_core.report.reading import read_comparison
from chimera_core.runs.checkpoints import read_state
from chimera_core.runs.config import read_config
from chimera_core.runs.record import read_run_record, run_status
from chimera_core.training.parts.metrics import read_metrics

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from toys.made_up_comparison import write_comparison

# What stands in a value's place: JSON and TOML alike where they agree.
ODD = [
    b"[]", b"{}", b"[[]]", b'""', b"-1", b"0", b"1.5", b"true", b"null", b"nan", b"NaN", b"Infinity", b"inf", b"1e400",
    b"1" + b"0" * 400, b"9" * 5000, b"0x" + b"f" * 9000, b"[" * 100_000, b"[" * 90 + b"]" * 90, b'{"a":' * 200 + b"1" + b"}" * 200,
    b'"\\ud800"', b'"\\u0000"', b'"../../x"', b'"/dev/zero"', b'"\\u001b[31m"', b"\xff\xfe", b"\0", b"a." * 20_000,
    b'"' + b"x" * 100_000 + b'"', b'"""', b"'''", b"#", b"=", b"\n[a]\n", b"\n[[a]]\n",
]  # fmt: skip
PLAIN = [
    b"[]",
    b"{}",
    b"[[]]",
    b'""',
    b"-1",
    b"0",
    b"1.5",
    b"true",
    b"1" + b"0" * 30,
    b'"x"',
    b"[7]",
    b'["x"]',
    b"1e308",
]
VALUE = re.compile(rb'(?<=[=:\[,] )(?:"[^"\n]*"|[-\w.]+)|(?<=[\[,:=])(?:"[^"\n]*"|[-\w.]+)')
Reader = Callable[[Path], Any]
EXPERIMENT = """name = "small"
size = 16
seeds = [0, 1]
weights = [[1, 0], [0.5, 0.5]]
[parents]
source = "folder"
options = { root = "data" }
sample = 3
[judge]
encoder = "cnn"
[fusers.mix]
fuser = "feature-morph"
[fusers.mix.axes]
level = [0.1, 0.5]
steps = [10, 20, 30]
"""


def main() -> None:
    """Print the table; end with 1 if the law is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice = random.Random(given.seed)
    logging.disable()
    counts: Counter[tuple[str, str]] = Counter()
    worst_s, worst_bytes = (0.0, ""), (0, "")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        kinds = seeds(Path(folder) / "seeds")
        for kind, (path, read) in kinds.items():
            outcome, _, _ = read_once(read, path)  # what the first reading imports is not the file's
            if outcome != "value":
                wrong.append(f"{kind}: a sound file ends in {outcome}")
        sound = {kind: path.read_bytes() for kind, (path, _) in kinds.items()}
        for index in range(given.files):
            kind, (path, read) = list(kinds.items())[index % len(kinds)]
            path.write_bytes((damaged_header if kind == "header" else damaged)(sound[kind], dice))
            outcome, wall_s, peak = read_once(read, path)
            counts[kind, outcome if outcome in ("value", "error") else "other"] += 1
            name = f"{kind} file {index}"
            worst_s, worst_bytes = max(worst_s, (wall_s, name)), max(worst_bytes, (peak, name))
            if outcome not in ("value", "error") or wall_s > LIMIT_S or peak > LIMIT_BYTES:
                wrong.append(f"{name}: {outcome}, {wall_s:.2f} s, {peak / 2**20:.0f} MiB")
    print(f"{'kind':12}{'value':>8}{'our error':>11}{'other':>7}")
    for kind in kinds:
        print(f"{kind:12}{counts[kind, 'value']:8}{counts[kind, 'error']:11}{counts[kind, 'other']:7}")
    print(
        f"slowest {worst_s[0]:.2f} s ({worst_s[1]}); most memory {worst_bytes[0] / 2**20:.0f} MiB ({worst_bytes[1]})"
    )
    print(f"{given.files} files, seed {given.seed}: " + ("the law holds" if not wrong else "\n".join(wrong)))
    raise SystemExit(1 if wrong else 0)


def read_once(read: Reader, path: Path) -> tuple[str, float, int]:
    """Read one file: (outcome, CPU seconds, bytes of memory beyond what the process had)."""
    before = reset_peak()
    start = time.process_time()
    try:
        read(path)
        outcome = "value"
    except ChimeraError as error:
        outcome = (
            "error"
            if str(error).isprintable() and len(str(error)) < 2000
            else f"bad line: {str(error)[:200]!r}"
        )
    except Exception as error:
        traceback.print_exc(limit=-3)
        outcome = type(error).__name__
    return outcome, time.process_time() - start, peak_beyond(before)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Change bytes, or put odd things where values stand."""
    for _ in range(dice.choice([1, 1, 1, 2])):
        at = dice.randrange(max(1, len(data)))
        kind = dice.randrange(8)
        if kind == 0:
            data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + dice.randrange(1, 60) :]
        elif kind == 2:
            data = data[:at] + data[at : at + dice.randrange(1, 200)] * dice.choice([2, 1000]) + data[at:]
        elif kind == 3:
            data = data[:at] + dice.choice(ODD) + data[at:]
        elif places := list(VALUE.finditer(data)):
            found = dice.choice(places)
            data = data[: found.start()] + dice.choice(dice.choice([PLAIN, ODD])) + data[found.end() :]
    return data


def damaged_header(data: bytes, dice: random.Random) -> bytes:
    """Damage a file of weights, its header, or what is noted in a sound one."""
    choice = dice.randrange(3)
    if choice == 0:
        return damaged(data, dice)
    if choice == 1:
        header = damaged(data[8:], dice)
    else:
        notes = damaged(json.loads(data[8:])["__metadata__"]["chimera"].encode(), dice)
        header = json.dumps({"__metadata__": {"chimera": notes.decode(errors="replace")}}).encode()
    return len(header).to_bytes(8, "little") + header


def seeds(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """Write one sound file of each kind: (its path, what reads it)."""
    record = {
        "status": "done", "kind": "fuser", "command": ["chimera", "fuser", "train"], "seed": 0, "written": "2026-01-01",
        "versions": {"torch": "2"}, "device": "cpu", "classes": ["cat", "dog"], "accepts": ["photo"], "max_parents": 2,
        "images": 100, "wall_s": 1.5, "parameters": {"a": 5}, "final": {"val_loss": 0.5}, "data": "ab", "content": "cd",
    }  # fmt: skip
    split = {
        "images": 2, "shards": [{"file": "a-00000.npy", "images": 2, "sha256": "ab"}], "unreadable": ["x"],
        "stamps": "s", "content": "c", "data": "d",
    }  # fmt: skip
    index = {
        "format": 1, "source": "folder", "packing": {"size": 16}, "size": 16, "classes": ["cat"], "domains": [],
        "splits": {"train": split}, "duplicates": {"across": 0}, "content": "c",
    }  # fmt: skip
    exported = ExportedFuser(fuser="gan:gan", classes=("a", "b"), accepts=("class",), size=64)
    config = {
        "fuser": {"name": "gan:gan", "options": {}},
        "source": {"name": "folder"},
        "size": 64,
        "images": 500,
    }
    cell = {"id": "abc", "status": "failed", "error": "no", "wall_s": 1.0, "device": "cpu", "image": None}
    checkpoint = {"format": 1, "sha256": "ab", "images": 7, "optimizers": {}, "state": {"best": None}}
    lock = {"work": "trained", "pid": 1, "host": "h", "kernel": "", "begun": "1", "since": 1.0}
    write_comparison(folder / "comparison", pairs=1, trios=0, seeds=[0], shares=[0.5], size=16)

    def put(kind: str, name: str, text: str | bytes) -> Path:
        path = folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    header = json.dumps({"__metadata__": {"chimera": exported.model_dump_json()}}).encode()
    return {
        "config": (put("config", "c.toml", to_toml(config)), _read_options),
        "experiment": (put("experiment", "e.toml", EXPERIMENT), read_experiment),
        "registry": (put("registry", "r.toml", shipped_registry().read_bytes()), read_registry),
        "run": (put("run", "run.json", json.dumps(record, indent=1)), _read_run),
        "comparison": (folder / "comparison" / "comparison.json", lambda p: read_comparison(p.parent)),
        "index": (put("index", "index.json", json.dumps(index, indent=1)), lambda p: read_index(p.parent)),
        "cell": (
            put("cell/cells", "abc.json", json.dumps(cell)),
            lambda p: read_record(p.parent.parent, "abc"),
        ),
        "checkpoint": (
            put("checkpoint", "000000007.json", json.dumps(checkpoint)),
            lambda p: read_state(p.parent, 7),
        ),
        "metrics": (
            put("metrics", "metrics.jsonl", '{"images": 1, "loss": 0.5}\n' * 5),
            lambda p: read_metrics(p.parent),
        ),
        "lock": (put("lock", ".lock.json", json.dumps(lock)), lambda p: holder_of(p.with_name(".lock"))),
        "header": (
            put("header", "w.safetensors", len(header).to_bytes(8, "little") + header),
            lambda p: read_header(p, ExportedFuser),
        ),
    }


def _read_options(path: Path) -> Config:
    return build_config(FuserTraining, read_config(path), where="the file")


def _read_run(path: Path) -> str:
    return run_status(path.parent, read_run_record(path.parent))


if __name__ == "__main__":
    main()
