"""Make old_runs/: runs, exported files and a comparison as the tree of that day wrote them.

    python tests/golden/make_old_runs.py FOLDER

They were made once, before the code was rebuilt, and are not to be made anew: what they test is that later code reads
them. The script tells how. All is trained on pictures that ``golden.draw_pictures`` makes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import golden

SIZE = 28
ENCODER = (
    "encoder train --run enc --encoder cnn --encoder.widths 4 --encoder.widths 8 --encoder.depth 1 --trainer pgd "
    "--trainer.steps 2 --augment crop-flip --ema 0.9 --images 640 --validate-images 160"
)
FUSER = (
    "fuser train gan --run gan --preset modern-64 --channels 4 --noise 4 --components 4 --bank 4 --encoder-size 32 "
    "--encoder timm --encoder.model test_efficientnet --encoder.weights none --judge none --images 400"
)
COMMON = (
    f"--source folder --source.root pictures --size {SIZE} --batch 8 --log-images 16 --seed 3 --precision fp32 "
    "--device cpu --checkpoint-minutes 0 --keep 1"
)
EXPERIMENT = f"""name = "cmp"
size = {SIZE}
seeds = [0, 1]
weights = [[1, 0], [0.5, 0.5]]
[parents]
tuples = [["pictures/val/cat/00.png", "pictures/val/person/00.png"]]
[judge]
encoder = "enc.safetensors"
[fusers.average]
fuser = "pixel-average"
[fusers.gan]
fuser = "gan.safetensors"
"""
LEFT_OUT = ("*.log", ".lock", "progress.png", "samples", "sheet.png", "report.html")
EXPORTED = {"enc": "encoder", "gan": "fuser"}


def main(target: Path) -> None:
    """Make all of it in a temporary folder, and keep what is small and of no machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        golden.draw_pictures(folder / "pictures", size=SIZE)
        (folder / "cmp.toml").write_text(EXPERIMENT)
        for run, line in (("enc", ENCODER), ("gan", FUSER)):
            arguments = [*line.split(), *COMMON.split()]
            _command(folder, *arguments)
            whole = folder / "runs" / run
            golden.write(target.parent / f"old-{run}.txt", golden.read_run(whole))
            shutil.rmtree(whole)
            _interrupt(folder, whole, arguments)
            _command(folder, EXPORTED[run], "export", run, "-o", f"{run}.safetensors")
        _command(folder, "compare", "cmp.toml", "--jobs", "1", "--device", "cpu")
        golden.write(target.parent / "old-cmp.txt", scores_of(folder / "runs" / "cmp"))
        keep(folder, target, name=str(folder))


def keep(folder: Path, target: Path, *, name: str) -> None:
    """Copy what is small, and take the machine's names out of it."""
    target.mkdir()
    for run in ("enc", "gan", "cmp"):
        shutil.copytree(
            folder / "runs" / run, target / "runs" / run, ignore=shutil.ignore_patterns(*LEFT_OUT)
        )
    for path in (*folder.glob("*.safetensors"), folder / "cmp.toml"):
        shutil.copy(path, target)
    for path in target.rglob("*"):
        if path.suffix in (".toml", ".json", ".jsonl", ".html", ".md"):
            path.write_text(path.read_text().replace(name, "/old").replace(os.uname().nodename, "old"))


def scores_of(comparison: Path) -> list[golden.Row]:
    """Give the scores of a comparison's creatures in the order of its table; a cell's name is a hash of code."""
    found = json.loads((comparison / "results.json").read_text())
    return [
        {name: row[name] for name in ("fuser", "weights", "seed", "metric", "value", "status")}
        for row in found
    ]


def _command(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "chimera_core.cli", *arguments], cwd=folder, env=_environ(folder), check=True
    )


def _interrupt(folder: Path, run: Path, arguments: list[str]) -> None:
    """Train again, with Ctrl-C about half of the way."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chimera_core.cli", *arguments], cwd=folder, env=_environ(folder)
    )
    metrics = run / "metrics.jsonl"
    while process.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < 10):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    if process.wait(120) != 130:
        raise SystemExit(f"{run.name} ended before it was interrupted: try again")


def _environ(folder: Path) -> dict[str, str]:
    own = {
        "CHIMERA_CACHE": str(folder / "cache"),
        "CHIMERA_RUNS": str(folder / "runs"),
        "OMP_NUM_THREADS": "1",
    }
    return {**os.environ, **own}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
