"""Ten steps of each kind of training give the losses that they always gave, alone and shared by two processes."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

golden = runpy.run_path(str(Path(__file__).with_name("golden.py")))

STEPS, BATCH, SIZE = 10, 4, 32
BLIND = "timm --encoder.model test_efficientnet --encoder.weights none --encoder-size 32"
FUSER = "--judge none --fuser.ema 0.9"
KINDS: dict[str, str] = {
    "cnn-pgd": "encoder train --encoder cnn --encoder.widths 16 --encoder.widths 32 --encoder.widths 64 --trainer pgd --ema 0.9 --augment crop-flip",
    "modern-64": f"fuser train gan --preset modern-64 --channels 8 --components 8 --bank 8 --encoder {BLIND} {FUSER}",
    "wgan-gp": f"fuser train gan --preset wgan-gp --channels 8 {FUSER}",
    "cyclegan-64": f"fuser train cyclegan --preset cyclegan-64 --width 8 --blocks 2 --critic-width 8 --bank 4 {FUSER}",
}
COMMON = (
    f"--source folder --source.root pictures --size {SIZE} --batch {BATCH} --images {BATCH * STEPS} "
    f"--log-images {BATCH} --checkpoint-minutes 0 --seed 5 --precision fp32 --device cpu"
)
# How far ten steps drift by other kernels, measured (README.md): these two amplify the last digit, by the sign of
# gradients that are nearly 0 (in the attack; in Adam's first steps).
DRIFT = {"cnn-pgd": 5e-2, "cyclegan-64": 2e-3}


class Trainings:
    """A folder with pictures, in which the installed command trains, each time in processes of their own."""

    def __init__(self, folder: Path, fork_server: Callable[..., Any]) -> None:
        self.folder = folder
        golden["draw_pictures"](folder / "pictures", size=SIZE)
        self.environ = {
            **os.environ,
            "CHIMERA_CACHE": str(folder / "cache"),
            "CHIMERA_RUNS": str(folder / "runs"),
            "OMP_NUM_THREADS": "1",  # with more, the last digit depends on how many there are
        }
        self.server = fork_server(sys.executable, self.environ)

    def train(self, kind: str, processes: int) -> Path:
        """Train ``kind`` with as many processes."""
        name = f"{kind}-{processes}"
        line = [*KINDS[kind].split(), *COMMON.split(), "--run", name]
        for process in self.server.start_together(line, processes, cwd=self.folder, environ=self.environ):
            _, err = process.communicate(120)
            assert process.returncode == 0, err
        return self.folder / "runs" / name


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any]) -> Trainings:
    return Trainings(tmp_path_factory.mktemp("golden"), fork_server)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_ten_steps_give_the_golden_losses(trainings: Trainings, kind: str, processes: int) -> None:
    rows = golden["read_run"](trainings.train(kind, processes))
    steps = [row["images"] for row in rows if "epoch" in row]
    assert steps == [BATCH * step for step in range(1, STEPS + 1)], "a line of each step is needed"
    golden["compare"](golden["HERE"] / f"{kind}-{processes}.txt", rows, drift=DRIFT.get(kind, 1e-5))
