"""The loop in this process, on tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.data.batches import TensorSplit
from chimera_core.errors import RunError
from chimera_core.files.weights import load_state
from chimera_core.interfaces.components import FeatureEncoder, RobustnessTrainer
from chimera_core.options.training import EncoderTraining
from chimera_core.randomness import Draw
from chimera_core.runs.checkpoints import list_checkpoints, newest_checkpoint, write_tensors
from chimera_core.training.augmentation.mixing import smooth
from chimera_core.training.data import ListedData, TrainingData
from chimera_core.training.encoder import EncoderPlan
from chimera_core.training.launch import open_fabric
from chimera_core.training.loop import Outcome
from chimera_core.training.loop import train as train_by_plan
from chimera_core.training.parts.clock import Clock
from chimera_core.training.parts.interrupts import Stop
from chimera_core.training.parts.metrics import TIMINGS, read_metrics
from chimera_core.training.parts.optimizers import schedule


class Net(FeatureEncoder):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.embed(x)))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        features: Tensor = self.body(x).mean((2, 3))
        return features

    def feature_maps(self, x: Tensor, levels: Any) -> list[Tensor]:
        return []


class Learner(RobustnessTrainer):
    """Adds noise from the draw; its loss is not finite at one step, as long as the rate is high."""

    def __init__(self, explode_at: int = -1, always: bool = False) -> None:
        self.explode_at = explode_at
        self.always = always
        self.seen: list[Tensor] = []

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        return x + 0.1 * draw.uniform(*x.shape[1:], purpose="noise")

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen.append(x)
        loss = F.cross_entropy(encoder(self.perturb(encoder, x, y, draw=draw)), y)
        if draw.step == self.explode_at:
            self.explode_at = self.explode_at if self.always else -1
            loss = loss * float("inf")
        return loss, {}


def split(n: int, seed: int) -> TensorSplit:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    images = torch.randint(0, 128, (n, 3, 8, 8), generator=generator, dtype=torch.uint8)
    images[:, 0] += (labels * 100).view(-1, 1, 1).to(torch.uint8)
    return TensorSplit(images, labels)


Train = Callable[..., Outcome]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    def run(
        folder: str = "run",
        *,
        steps: int = 12,
        timed: bool = False,
        trainer: Learner | None = None,
        resume: bool = False,
        stop: Stop | None = None,
        progress: Callable[[float, float], None] = lambda done, total: None,
        notify: Callable[[str], None] = lambda line: None,
        **options: Any,
    ) -> Outcome:
        values = {"source": "s", "encoder": "e", "batch": 4, "precision": "fp32", "ema": 0.9, "lr": 0.01}
        cadence = {"log_images": 12, "validate_images": 16, "checkpoint_images": 16}
        config = EncoderTraining(**{**values, **cadence, **options})
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        images = ListedData(("a", "b"), (), {})
        plan = EncoderPlan(
            config=config,
            data=TrainingData(images=images, train=split(20, 0), val=split(8, 1), val_name="val"),
            device=torch.device("cpu"),
            total_steps=steps,
            is_timed=timed,
            encoder=Net(),
            trainer=trainer or Learner(),
        )
        checkpoint = newest_checkpoint(place / "checkpoints")[0] if resume else None
        fabric = open_fabric(torch.device("cpu"), config.precision)  # type: ignore[arg-type]
        learner = plan.learner(fabric, place)
        return train_by_plan(
            learner, plan, fabric, place, resume=checkpoint, stop=stop, progress=progress, notify=notify
        )

    return run


def final(folder: Path, images: int = 48) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    weights = load_state(folder / "checkpoints" / f"{images:09d}.safetensors")
    lines = [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(folder)]
    return weights, lines


def assert_same(one: Path, two: Path) -> None:
    (weights, lines), (others, other_lines) = final(one), final(two)
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert lines == other_lines


@pytest.mark.slow
def test_it_learns_and_leaves_checkpoints_metrics_and_a_picture(train: Train, tmp_path: Path) -> None:
    outcome = train(steps=60, lr=0.05)
    assert outcome.status == "done" and outcome.images == 240
    assert outcome.best is not None and outcome.best["accuracy"] >= 0.9
    lines = read_metrics(tmp_path / "run")
    logged = [line["images"] for line in lines if "loss" in line]
    assert logged == list(range(12, 241, 12))
    assert [line["images"] for line in lines if "val_accuracy" in line] == list(range(16, 241, 16))
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == [240, 224]
    assert (tmp_path / "run" / "progress.png").stat().st_size > 5000
    best = load_state(tmp_path / "run" / "checkpoints" / "best.safetensors")
    assert best.keys() == Net().state_dict().keys()


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 5, 9])
def test_a_training_that_was_stopped_and_goes_on_gives_the_same_bits(
    train: Train, tmp_path: Path, at: int
) -> None:
    train("whole")
    stop = Stop()

    def interrupt(done: float, total: float) -> None:
        stop.requested = done >= at * 4

    outcome = train("parted", stop=stop, progress=interrupt)
    assert outcome.status == "interrupted" and outcome.images == at * 4
    assert train("parted", resume=True).status == "done"
    assert_same(tmp_path / "whole", tmp_path / "parted")


@pytest.mark.slow
def test_going_on_takes_the_best_weights_that_its_checkpoint_knows(train: Train, tmp_path: Path) -> None:
    train("run")
    best = tmp_path / "run" / "checkpoints" / "best.safetensors"
    known = best.read_bytes()
    write_tensors(best, {"met.on.a.way.given.up": torch.zeros(1)})
    train("run", resume=True)
    assert best.read_bytes() == known


@pytest.mark.slow
def test_checkpoints_by_the_clock_do_not_change_the_way(train: Train, tmp_path: Path) -> None:
    train("whole", checkpoint_minutes=0)
    train("often", checkpoint_minutes=1e-9)
    assert_same(tmp_path / "whole", tmp_path / "often")


@pytest.mark.slow
def test_a_stop_by_the_clock_leaves_a_run_that_goes_on_to_the_same_end(train: Train, tmp_path: Path) -> None:
    train("whole")
    outcome = train("timed", max_minutes=1e-9)
    assert outcome.status == "stopped" and outcome.images == 4
    assert "val_accuracy" in outcome.final
    train("timed", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "timed")


def test_a_stop_by_the_clock_right_after_a_validation_validates_once(train: Train, tmp_path: Path) -> None:
    assert train(max_minutes=1e-9, validate_images=4).status == "stopped"
    assert [line["images"] for line in read_metrics(tmp_path / "run") if "val_accuracy" in line] == [4]


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock for the loop: the first entry is its time."""
    time = [0.0]
    monkeypatch.setattr("chimera_core.training.loop.Clock", partial(Clock, now=lambda: time[0]))
    return time


@pytest.mark.slow
def test_a_length_in_minutes_is_gone_through_by_the_clock_however_fast_steps_are(
    train: Train, seconds: list[float], tmp_path: Path
) -> None:
    seen: list[tuple[float, float]] = []

    def pass_time(done: float, total: float) -> None:
        seen.append((done, total))
        seconds[0] += 1 if done <= 20 else 4  # after five steps others want the machine

    options: dict[str, Any] = {
        "max_minutes": 1 / 3,
        "schedule": "one-cycle",
        "log_images": 4,
        "lr": 0.01,
        "timed": True,
    }
    # Ten epochs would be 50 steps: the guess of the length plays no part.
    outcome = train(steps=50, progress=pass_time, **options)
    assert outcome.status == "done" and outcome.images == 36 and "val_accuracy" in outcome.final
    rates = [line["lr"] for line in read_metrics(tmp_path / "run") if "lr" in line]
    expected = schedule("one-cycle", total_images=20)  # seconds in place of images
    starts = [0, 1, 2, 3, 4, 5, 9, 13, 17]
    assert rates == pytest.approx([0.01 * expected(s) for s in starts], rel=1e-4)
    assert seen[4][1] == pytest.approx(20 / (4 / 20))  # what is to come, as the clock tells by now
    again = train(steps=50, resume=True, **options)
    assert again.status == "done" and again.images == 36
    longer = train(steps=50, resume=True, progress=pass_time, **{**options, "max_minutes": 0.5})
    assert longer.status == "done" and longer.images == 48


@pytest.mark.slow
def test_weights_that_are_not_finite_are_never_validated(train: Train, tmp_path: Path) -> None:
    """The loss does not show it: in training, batch norm does not look at its running statistics."""

    class Poison(Learner):
        poisoned = False

        def loss(
            self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
        ) -> tuple[Tensor, dict[str, Tensor]]:
            if draw.step == 5 and not self.poisoned:
                self.poisoned = True
                encoder.body[1].running_mean.fill_(float("inf"))  # type: ignore[index, union-attr, operator]
            return super().loss(encoder, x, y, draw=draw)

    assert train(trainer=Poison(), validate_images=8).status == "done"
    lines = read_metrics(tmp_path / "run")
    assert {"images": 16, "event": "rate halved", "diverged_at": 24} in lines
    assert all(line["val_loss"] is not None for line in lines if "val_loss" in line)


def test_a_loss_that_is_not_finite_sends_it_back_at_half_the_rate_once(train: Train, tmp_path: Path) -> None:
    messages: list[str] = []
    outcome = train(trainer=Learner(explode_at=6), notify=messages.append)
    assert outcome.status == "done"
    assert messages == ["the loss is not finite after 28 images: back to 16, at half the rate"]
    lines = read_metrics(tmp_path / "run")
    assert {"images": 16, "event": "rate halved", "diverged_at": 28} in lines
    rates = {line["images"]: line["lr"] for line in lines if "lr" in line}
    assert rates[24] < rates[12] * 0.6
    assert [line["images"] for line in lines if "loss" in line] == [12, 24, 36, 48]


def test_a_second_divergence_stops_with_a_clear_word(train: Train, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not finite after 28 images again, at half the rate: lower --lr"):
        train(trainer=Learner(explode_at=6, always=True))
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == [16, 0]


@pytest.mark.slow
def test_a_kill_after_going_back_changes_nothing(train: Train, tmp_path: Path) -> None:
    train("whole", trainer=Learner(explode_at=6))
    stop = Stop()

    def interrupt(done: float, total: float) -> None:
        stop.requested = done >= 24

    # Stopped between the good checkpoint and the divergence: a checkpoint of the clock lies in between.
    train("parted", trainer=Learner(explode_at=6), stop=stop, progress=interrupt)
    train("parted", trainer=Learner(explode_at=6), resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parted")


@pytest.mark.slow
def test_images_reach_the_trainer_in_full_precision_under_bf16(train: Train) -> None:
    trainer = Learner()
    train(trainer=trainer, precision="bf16", steps=2)
    exact = {k / 255 for k in range(256)}
    values = set(torch.cat([x.flatten() for x in trainer.seen]).double().tolist())
    assert all(min(abs(v - e) for e in exact) < 1e-7 for v in values)


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    spread = smooth(torch.tensor([1]), classes=4, share=0.2)
    assert torch.allclose(spread, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))
    mixed = smooth(torch.tensor([[0.5, 0.5]]), classes=2, share=0.5)
    assert mixed.tolist() == [[0.5, 0.5]]
    y = torch.tensor([0, 1])
    assert smooth(y, classes=2, share=0) is y
