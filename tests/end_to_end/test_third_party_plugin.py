"""A stranger's wheel beside ours: it works with no line of ours changed, and vanishes when uninstalled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.images import read_picture

PROJECT = Path(__file__).parent / "third_party"


@pytest.fixture(scope="module")
def stripes_wheel(build_wheel: Callable[[Path], Path]) -> Path:
    return build_wheel(PROJECT)


def test_a_third_party_fuser_is_listed_documented_and_used(
    scratch: Any, stripes_wheel: Path, picture: Any
) -> None:
    scratch.install(stripes_wheel)

    listed = json.loads(scratch.chimera("plugins", "list", "--json").stdout)
    (row,) = [r for r in listed if r["name"] == "stripes"]
    assert (row["kind"], row["distribution"], row["version"], row["status"]) == (
        "fusion-generator",
        "chimera-stripes",
        "0.3.1",
        "ok",
    )

    shown = json.loads(scratch.chimera("plugins", "show", "stripes", "--json").stdout)[0]
    options = {o["flag"]: o for o in shown["options"]}
    assert (options["--stripes"]["minimum"], options["--stripes"]["maximum"]) == (2, 64)
    assert options["--direction"]["type"] == "across|down"

    usage = scratch.chimera("fuse", "--fuser", "stripes", "--help").stdout
    assert "--stripes INTEGER RANGE" in usage
    assert "2<=x<=64" in usage
    assert "[across|down]" in usage
    assert "How many stripes." in usage

    red, blue = picture("red.png", colour=(255, 0, 0)), picture("blue.png", colour=(0, 0, 255))
    out = scratch.root / "out.png"
    command = (
        "fuse",
        red,
        blue,
        "--fuser",
        "stripes",
        "--stripes",
        4,
        "--direction",
        "down",
        "--size",
        64,
        "-o",
        out,
    )
    done = scratch.chimera(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fuser"] == "stripes"
    middle = read_picture(out).rgb[32].astype(int)
    is_red = middle[20:44, 0] > middle[20:44, 2]
    assert 8 <= is_red.sum() <= 16  # half of the disc shows each parent
    assert (is_red[1:] != is_red[:-1]).sum() >= 2

    wrong = scratch.chimera("fuse", red, blue, "--fuser", "stripes", "--stripes", 99, "-o", out)
    assert wrong.returncode == 2
    assert "2<=x<=64" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1

    scratch.uninstall("chimera-stripes")
    gone = scratch.chimera("fuse", red, blue, "--fuser", "stripes", "-o", out)
    assert gone.returncode == 2
    assert "no fusion-generator is named 'stripes'" in gone.stderr


def test_our_own_wheel_carries_registry_and_plugins_and_runs_the_demo(
    scratch: Any, build_wheel: Callable[[Path], Path], tmp_path: Path
) -> None:
    scratch.install(build_wheel(Path(__file__).resolve().parents[2]))
    where = "import chimera_core, chimera_core.plugins.registry as r; print(chimera_core.__file__, r.shipped_registry())"
    shown = subprocess.run(
        [scratch.python, "-c", where], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    assert all(str(scratch.root) in path for path in shown.stdout.split())

    done = scratch.chimera("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "chimera-demo"
    written = ["chimera.png", "config.toml", "grid.png", "person-cat.png", "run.json"]
    # The lock stays, unseen: to remove it would let two others work there at once.
    assert sorted(p.name for p in folder.iterdir() if p.name != ".lock") == written
    assert min(read_picture(folder / "chimera.png").rgb.shape[:2]) == 384
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "done"
    assert record["fuser"] == "parts"
    assert {p["name"] for p in record["plugins"] if p["status"] == "ok"} >= {"folder", "style", "timm"}
