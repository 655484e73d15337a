"""Golden values: numbers of a training, kept in a file beside the machine that they came from.

On a machine with the same fingerprint they must be equal to the last digit; on another, near: its kernels add up in
another order. ``CHIMERA_WRITE_GOLDEN=1`` writes them anew.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
WRITE = "CHIMERA_WRITE_GOLDEN"
TIMINGS = ("wall_s", "images_per_s")
NEAR = 1e-5
Row = dict[str, Any]


def fingerprint() -> dict[str, str]:
    """Tell what decides the last digit: the processor with its instructions, and the libraries that compute."""
    import torch

    model, flags = platform.machine(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                flags = value.strip()
                break
    except OSError:
        pass
    asked = [
        f"{name}={os.environ[name]}"
        for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_CBWR")
        if name in os.environ
    ]
    return {
        "cpu": model,
        "flags": hashlib.sha256(flags.encode()).hexdigest()[:16],
        "capability": " ".join([torch.backends.cpu.get_cpu_capability(), *asked]),
        **{
            name: importlib.metadata.version(name)
            for name in ("torch", "torchvision", "timm", "numpy", "pillow")
        },
    }


def read_run(run: Path) -> list[Row]:
    """Give the metrics of a run, timings aside, and after them what its best weights are.

    The metrics have 7 digits; ``weights_sha256`` has every bit of every weight, whatever their names, and
    ``weights_size`` the sum of their absolute values.
    """
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if k not in TIMINGS} for line in lines]
    return [*rows, weights_row(run / "checkpoints" / "best.safetensors")]


def weights_row(path: Path) -> Row:
    """Tell what the tensors of a file are, in one row."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    kinds = sorted(
        f"{t.dtype} {tuple(t.shape)} ".encode() + hashlib.sha256(t.contiguous().numpy().tobytes()).digest()
        for t in tensors.values()
    )
    size = sum(float(t.double().abs().sum()) for t in tensors.values())
    return {"weights_size": size, "weights_sha256": hashlib.sha256(b"".join(kinds)).hexdigest()}


def compare(path: Path, rows: list[Row], *, drift: float = NEAR) -> None:
    """Assert that rows are those of a golden file, or write it if that is asked for.

    Args:
        path: the golden file.
        rows: of a run; a column whose name ends in ``_sha256`` counts on the same machine only.
        drift: largest difference on another machine, relative or absolute, after the first row; that one has 1e-5.
            Where it is more than that, accuracies are left out: they jump by whole images.
    """
    if os.environ.get(WRITE):
        return write(path, rows)
    machine, golden = _read(path.read_text())
    found = list(csv.DictReader(io.StringIO(_as_csv(rows))))
    assert [list(row) for row in found] == [list(row) for row in golden], (
        f"{path.name}: other columns or lines"
    )
    here = fingerprint()
    same = machine == here
    unlike = []
    for number, (expected, met) in enumerate(zip(golden, found, strict=True)):
        near = drift if number else NEAR
        for name, value in expected.items():
            if not (value == met[name] if same else _is_near(name, value, met[name], near)):
                unlike.append(f"line {number}, {name}: {value} is golden, {met[name]} was met")
    rule = "to the last digit, on the same machine" if same else f"to {drift:g}, on another machine"
    assert not unlike, f"{path.name} ({rule}):\n" + "\n".join(unlike)


def write(path: Path, rows: list[Row]) -> None:
    """Write rows as a golden file."""
    path.write_text(_as_text(rows))


def draw_pictures(root: Path, *, size: int, train: int = 24, val: int = 8) -> None:
    """Draw noisy pictures of two classes as train/CLASS and val/CLASS: always the same bytes of pixels."""
    generator = np.random.default_rng(18)
    for split, count in (("train", train), ("val", val)):
        for k, name in enumerate(("cat", "person")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 160, (size, size, 3))
                pixels[size // 4 : 3 * size // 4, :, k] += 80
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")


def _as_text(rows: list[Row]) -> str:
    return "".join(f"# {name}: {value}\n" for name, value in fingerprint().items()) + _as_csv(rows)


def _as_csv(rows: list[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)  # a float's JSON is its repr


def _read(text: str) -> tuple[dict[str, str], list[Row]]:
    lines = text.splitlines(keepends=True)
    notes = [line[2:].rstrip("\n").partition(": ") for line in lines if line.startswith("# ")]
    table = "".join(line for line in lines if not line.startswith("# "))
    return {name: value for name, _, value in notes}, list(csv.DictReader(io.StringIO(table)))


def _is_near(name: str, expected: str, met: str, near: float) -> bool:
    if name.endswith("_sha256") or (near > NEAR and name.endswith(("accuracy", "_f1"))):
        return bool(expected) == bool(met)
    try:
        one, two = float(expected), float(met)
    except ValueError:
        return expected == met
    return abs(one - two) <= near * max(1.0, abs(one))
