"""Our own wheel carries all that its commands need."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chimera_core.images import read_picture


def test_our_own_wheel_carries_registry_examples_and_plugins_and_runs_the_demo(
    scratch: Any, build_wheel: Callable[[Path], Path], tmp_path: Path
) -> None:
    project = Path(__file__).resolve().parents[2]
    wheel = build_wheel(project)
    again = build_wheel(project)
    assert wheel.read_bytes() == again.read_bytes(), "a wheel that is built twice is the same file"
    scratch.install(wheel)
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
    assert record["fuser"] == "portrait"
    assert {p["name"] for p in record["plugins"] if p["status"] == "ok"} >= {"folder", "style", "timm"}

    begun = scratch.chimera(
        "plugins", "new", "my-fuser", "--kind", "fuser", "--licence", "Apache-2.0", cwd=tmp_path
    )
    assert begun.returncode == 0, begun.stderr
    package = tmp_path / "chimera-my-fuser"
    assert "Apache License" in (package / "LICENSE").read_text(encoding="utf-8")
    assert "class MyFuser" in (package / "chimera_my_fuser" / "fuser.py").read_text(encoding="utf-8")
