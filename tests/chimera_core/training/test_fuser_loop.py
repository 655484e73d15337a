"""The loop of fusers in this process, on tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.data.batches import Batch, TensorSplit
from chimera_core.errors import PluginError, RunError
from chimera_core.files.weights import load_state
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.interfaces.learner import Engine, FuserLearner
from chimera_core.models.header import read_notes
from chimera_core.options.config import EncoderRef
from chimera_core.options.training import FuserTraining
from chimera_core.randomness import Draw
from chimera_core.runs import checkpoints
from chimera_core.runs.checkpoints import list_checkpoints, newest_checkpoint
from chimera_core.testing.fakes.config import MeanImageConfig
from chimera_core.testing.fakes.mean_image import MeanImage
from chimera_core.training.data import ListedData, TrainingData
from chimera_core.training.fuser import FuserPlan
from chimera_core.training.launch import open_fabric
from chimera_core.training.loop import Outcome
from chimera_core.training.loop import train as train_by_plan
from chimera_core.training.parts.interrupts import Stop
from chimera_core.training.parts.metrics import TIMINGS, read_metrics
from chimera_core.training.parts.optimizers import build_optimizer, parameter_groups, set_rate

CLASSES = ("dark", "light")
SIZE = 8
GREY = 100 / 255  # of the real images


class Painter(FuserLearner):
    """Paints plain images whose grey grows by 0.02 a step: it meets the real one after 20 steps, and passes it.

    Beside that it trains a network with all that could go wrong when it is taken up again: momentum, batch norm,
    dropout and noise. Its samples use up torch's own random numbers, and seed them anew.
    """

    def __init__(self, *, start: float = 0.0, explode_at: int = -1, always: bool = False) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 3))
        self.net.register_buffer("grey", torch.tensor(start))
        self.modules = {"net": self.net}
        self.optimizers = {
            "adam": build_optimizer(parameter_groups(self.net, weight_decay=0), "adam", lr=0.01)
        }
        self.explode_at, self.always = explode_at, always

    @property
    def grey(self) -> Tensor:
        found: Tensor = self.net.grey  # type: ignore[assignment]
        return found

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        set_rate(self.optimizers["adam"], engine.rate)
        colours = batch.pixels().mean((2, 3)) + 0.1 * draw.normal(3, purpose="noise")
        loss = F.mse_loss(self.net(colours), colours)
        loss.backward()
        engine.average_gradients(self.net.parameters())
        self.optimizers["adam"].step()
        self.optimizers["adam"].zero_grad()
        self.grey.add_(0.02 * engine.rate)
        if draw.step == self.explode_at:
            self.explode_at = self.explode_at if self.always else -1
            loss = loss * float("nan")
        return {"loss": loss.detach()}

    def state(self) -> dict[str, Tensor]:
        means = self.grey.expand(len(CLASSES), 3, SIZE, SIZE)
        return {"means": means.contiguous(), "weights": self.net[0].weight}

    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        torch.manual_seed(torch.randint(1000, ()).item())  # type: ignore[arg-type]
        noise = [torch.randn(3, SIZE, SIZE, generator=_seeded(seed + k)) for k in range(count)]
        return (self.grey + 0.02 * torch.stack(noise)).clamp(0, 1)

    def critic_estimate(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, float]:
        drawn = draw.normal(purpose="noise for the held-out").mean() + torch.rand(())
        return {"critic_held_out": float(batch.pixels().mean() - self.grey), "critic_drawn": float(drawn)}


class Painted(MeanImage):
    """Its means, without what the painter keeps beside them."""

    def load(self, state: Any, facts: Any) -> None:
        super().load({"means": state["means"]}, facts)


class Brightness(FeatureEncoder):
    """A judge that sees the mean colour."""

    def forward(self, x: Tensor) -> Tensor:
        return self.embed(x)

    def embed(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * 4

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        return []


Train = Callable[..., Outcome]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    def run(
        folder: str = "run",
        *,
        steps: int = 12,
        learner: FuserLearner | None = None,
        judged: bool = True,
        resume: bool = False,
        stop_at: int | None = None,
        notify: Callable[[str], None] = lambda line: None,
        **options: Any,
    ) -> Outcome:
        judge = EncoderRef(name="brightness") if judged else None
        values = {"source": "s", "fuser": "f", "batch": 4, "precision": "fp32", "size": SIZE}
        cadence = {"log_images": 12, "quality_images": 8, "sample_images": 24, "checkpoint_images": 16}
        config = FuserTraining(**{**values, **cadence, "judge": judge, "judge_images": 16, **options})
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        learner = learner or Painter()
        images = ListedData(CLASSES, (), {})
        plan = FuserPlan(
            config=config,
            data=TrainingData(images=images, train=_images(20, 0), val=_images(16, 1), val_name="val"),
            device=torch.device("cpu"),
            total_steps=steps,
            fuser=Painted,
            options=MeanImageConfig(),
            learning=learner,
            judge=Brightness() if judged else None,
        )
        checkpoint = None
        if resume:
            checkpoint, troubles = newest_checkpoint(place / checkpoints.FOLDER)
            for trouble in troubles:
                notify(trouble)
        stop = Stop()

        def progress(done: float, total: float) -> None:
            stop.requested = stop_at is not None and done >= stop_at

        fabric = open_fabric(torch.device("cpu"), config.precision)  # type: ignore[arg-type]
        driven = plan.learner(fabric, place)
        return train_by_plan(
            driven, plan, fabric, place, resume=checkpoint, stop=stop, progress=progress, notify=notify
        )

    return run


def test_it_leaves_checkpoints_metrics_samples_sweeps_and_a_picture(train: Train, tmp_path: Path) -> None:
    outcome = train()
    assert (outcome.status, outcome.images) == ("done", 48)
    run = tmp_path / "run"
    lines = read_metrics(run)
    assert [line["images"] for line in lines if "loss" in line] == [12, 24, 36, 48]
    measured = [line for line in lines if "kid" in line]
    assert [line["images"] for line in measured] == [8, 16, 24, 32, 40, 48]
    assert outcome.final == measured[-1]
    assert all(
        line["critic_held_out"] == pytest.approx(GREY - 0.005 * line["images"], abs=0.01) for line in measured
    )
    assert list_checkpoints(run / "checkpoints") == [48, 32]
    names = sorted(path.name for path in (run / "samples").iterdir())
    assert names == [f"{n:09d}{what}.png" for n in (24, 48) for what in ("-sweeps", "")]
    assert (run / "progress.png").stat().st_size > 5000


def test_pictures_before_and_after_show_the_same_seeds(train: Train, tmp_path: Path) -> None:
    still = Painter(start=0.5)
    still.step = lambda batch, draw, engine: {"loss": torch.zeros(())}  # type: ignore[method-assign]
    train(learner=still)
    samples = tmp_path / "run" / "samples"
    for what in ("", "-sweeps"):
        early, late = (samples / f"{n:09d}{what}.png" for n in (24, 48))
        assert early.read_bytes() == late.read_bytes()


@pytest.mark.slow
def test_best_are_the_weights_of_the_best_quality_and_not_the_last(train: Train, tmp_path: Path) -> None:
    outcome = train(steps=30)
    curve = {line["images"]: line["kid"] for line in read_metrics(tmp_path / "run") if "kid" in line}
    lowest = min(curve, key=curve.__getitem__)
    assert lowest == 80 and curve[80] < curve[120]  # 20 steps of 0.02 are the grey of the real images
    assert outcome.best is not None and outcome.best["images"] == 80
    assert outcome.best["kid"] == pytest.approx(curve[80], rel=1e-6)
    assert (outcome.best["measured"], outcome.best["since"]) == (15, 5)
    assert best_of(tmp_path / "run") == (80, pytest.approx(0.4))


def test_the_spread_of_quality_is_that_of_different_halves(train: Train, tmp_path: Path) -> None:
    train()
    spreads = [line["kid_std"] for line in read_metrics(tmp_path / "run") if "kid" in line]
    assert min(spreads) > 1e-6


def test_without_a_judge_the_last_weights_are_the_best(train: Train, tmp_path: Path) -> None:
    outcome = train(steps=30, judged=False)
    assert outcome.best is None and outcome.final == {}
    assert not any("kid" in line for line in read_metrics(tmp_path / "run"))
    assert best_of(tmp_path / "run") == (120, pytest.approx(0.6))


@pytest.mark.slow
@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("at", [1, 4, 5, 6, 9])
def test_a_training_that_was_stopped_and_goes_on_gives_the_same_bits(
    train: Train, tmp_path: Path, at: int, judged: bool
) -> None:
    train("whole", judged=judged)
    outcome = train("parted", judged=judged, stop_at=at * 4)
    assert (outcome.status, outcome.images) == ("interrupted", at * 4)
    assert train("parted", judged=judged, resume=True).status == "done"
    assert_same(tmp_path / "whole", tmp_path / "parted")


@pytest.mark.slow
def test_pictures_and_measurements_do_not_change_the_way(train: Train, tmp_path: Path) -> None:
    train("whole")
    train("seldom", quality_images=48, sample_images=48)
    one, two = (
        load_state(tmp_path / name / "checkpoints" / f"{48:09d}.safetensors") for name in ("whole", "seldom")
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_checkpoints_by_the_clock_do_not_change_the_way(train: Train, tmp_path: Path) -> None:
    train("whole", checkpoint_minutes=0)
    train("often", checkpoint_minutes=1e-9)
    assert_same(tmp_path / "whole", tmp_path / "often")


@pytest.mark.slow
@pytest.mark.parametrize("judged", [True, False])
def test_a_stop_by_the_clock_leaves_weights_and_goes_on_to_the_same_end(
    train: Train, tmp_path: Path, judged: bool
) -> None:
    train("whole", judged=judged)
    outcome = train("timed", judged=judged, max_minutes=1e-9)
    assert (outcome.status, outcome.images) == ("stopped", 4)
    assert ("kid" in outcome.final) == judged
    assert best_of(tmp_path / "timed")[0] == 4
    train("timed", judged=judged, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "timed")


@pytest.mark.slow
def test_weights_of_a_stop_by_the_clock_do_not_outlive_going_on(train: Train, tmp_path: Path) -> None:
    """It measures where the whole training does not, and may find better weights there than that ever measures."""
    far = {"quality_images": 36, "steps": 24}  # at 36, 72 and 96 images; 80 would be best
    train("whole", **far)
    train("timed", **far, stop_at=72 + 4)
    outcome = train("timed", **far, resume=True, max_minutes=1e-9)
    assert (outcome.status, outcome.images) == ("stopped", 80)
    assert best_of(tmp_path / "timed")[0] == 80
    outcome = train("timed", **far, resume=True)
    assert outcome.best is not None and outcome.best["images"] == 72
    assert best_of(tmp_path / "timed")[0] == 72
    assert_same(tmp_path / "whole", tmp_path / "timed", images=96)


@pytest.mark.slow
def test_a_kill_between_a_measurement_and_the_next_checkpoint_changes_nothing(
    train: Train, tmp_path: Path
) -> None:
    train("whole", steps=24)
    with pytest.raises(
        KeyboardInterrupt
    ):  # as a kill: after the measurement at 72 images, before the checkpoint at 80
        train("parted", steps=24, learner=_Killed(at=18))
    assert (
        best_of(tmp_path / "parted")[0] == 72 and list_checkpoints(tmp_path / "parted/checkpoints")[0] == 64
    )
    train("parted", steps=24, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parted", images=96)


@pytest.mark.slow
def test_a_kill_after_the_last_checkpoint_changes_nothing(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("whole", judged=False)
    save = checkpoints.save_checkpoint

    def die_after(folder: Path, images: int, **more: Any) -> Path:
        found = save(folder, images, **more)
        if images == 48:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "save_checkpoint", die_after)
        train("parted", judged=False)
    train("parted", judged=False, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parted")


@pytest.mark.slow
def test_a_checkpoint_that_was_cut_short_is_passed_over_and_that_is_said(
    train: Train, tmp_path: Path
) -> None:
    train("whole")
    train("parted", stop_at=36)
    newest = tmp_path / "parted" / "checkpoints" / f"{36:09d}.safetensors"
    newest.write_bytes(newest.read_bytes()[:-20])
    messages: list[str] = []
    train("parted", resume=True, notify=messages.append)
    assert len(messages) == 1 and "000000036.safetensors' is damaged" in messages[0]
    assert_same(tmp_path / "whole", tmp_path / "parted")


@pytest.mark.slow
def test_patience_ends_it_and_says_so(train: Train, tmp_path: Path) -> None:
    messages: list[str] = []
    outcome = train(steps=60, patience=3, notify=messages.append)
    assert (outcome.status, outcome.images) == ("stopped", 104)
    assert messages == ["quality has not improved in 3 measurements: stopped after 104 images"]
    assert best_of(tmp_path / "run")[0] == 80
    assert list_checkpoints(tmp_path / "run" / "checkpoints")[0] == 104


@pytest.mark.slow
def test_what_patience_ended_stays_so_until_it_is_given_more(train: Train, tmp_path: Path) -> None:
    train("run", steps=60, patience=3)
    before = final(tmp_path / "run", images=104)
    outcome = train("run", steps=60, patience=3, resume=True)
    assert (outcome.status, outcome.images) == ("stopped", 104)
    assert_equal(final(tmp_path / "run", images=104), before)
    outcome = train("run", steps=60, patience=5, resume=True)
    assert (outcome.status, outcome.images) == ("stopped", 120)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_sends_it_back_at_half_the_rate_once(train: Train, tmp_path: Path) -> None:
    messages: list[str] = []
    outcome = train(learner=Painter(explode_at=6), notify=messages.append)
    assert outcome.status == "done"
    assert messages == ["the loss is not finite after 28 images: back to 16, at half the rate"]
    lines = read_metrics(tmp_path / "run")
    assert {"images": 16, "event": "rate halved", "diverged_at": 28} in lines
    rates = {line["images"]: line["rate"] for line in lines if "rate" in line}
    assert rates == {12: 1.0, 24: 0.5, 36: 0.5, 48: 0.5}
    assert load_state(tmp_path / "run/checkpoints" / f"{48:09d}.safetensors")["net.grey"] == pytest.approx(
        0.16
    )


def test_a_second_divergence_stops_with_a_clear_word(train: Train, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not finite after 28 images again, at half the rate: lower --lr"):
        train(learner=Painter(explode_at=6, always=True))
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == [16, 0]


def test_a_module_and_an_optimizer_of_one_name_are_refused_before_anything_is_written(
    train: Train, tmp_path: Path
) -> None:
    """A checkpoint keeps both by their names: such a training could not be taken up again."""
    learner = Painter()
    learner.modules = {"adam": learner.net}
    with pytest.raises(PluginError, match="a module and an optimizer of this fuser are both called 'adam'"):
        train(learner=learner)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_best_weights_of_a_way_that_diverged_are_forgotten(train: Train, tmp_path: Path) -> None:
    # Best at 72 images, lost at 76, back to 64: and from there, at half the rate, it only grows worse.
    outcome = train(steps=20, learner=_Turning(explode_at=18))
    assert outcome.best is not None and outcome.best["images"] == 64
    assert best_of(tmp_path / "run") == (64, pytest.approx(0.32))


@pytest.mark.slow
@pytest.mark.parametrize("at", [20, 24])
def test_a_stop_before_a_divergence_changes_nothing(train: Train, tmp_path: Path, at: int) -> None:
    train("whole", learner=Painter(explode_at=6))
    train("parted", learner=Painter(explode_at=6), stop_at=at)
    train("parted", learner=Painter(explode_at=6), resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parted")


class _Turning(Painter):
    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        self.grey.sub_(0.04 if engine.rate < 1 else 0)
        return super().step(batch, draw=draw, engine=engine)


class _Killed(Painter):
    def __init__(self, *, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        if draw.step == self.at:
            raise KeyboardInterrupt
        return super().step(batch, draw=draw, engine=engine)


Final = tuple[dict[str, Tensor], list[dict[str, Any]], bytes]


def final(folder: Path, images: int = 48) -> Final:
    weights = load_state(folder / "checkpoints" / f"{images:09d}.safetensors")
    lines = [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(folder)]
    return weights, lines, (folder / "checkpoints" / checkpoints.BEST).read_bytes()


def assert_equal(one: Final, two: Final) -> None:
    assert one[0].keys() == two[0].keys()
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])
    assert one[1] == two[1]
    assert one[2] == two[2]


def assert_same(one: Path, two: Path, images: int = 48) -> None:
    assert_equal(final(one, images), final(two, images))


def best_of(folder: Path) -> tuple[int, float]:
    """Give the images after which the best weights were written, and their grey."""
    path = folder / "checkpoints" / checkpoints.BEST
    return read_notes(path)["images"], float(load_state(path)["means"][0, 0, 0, 0])


def _images(n: int, seed: int) -> TensorSplit:
    labels = torch.arange(n) % 2
    noise = torch.randint(-8, 9, (n, 3, SIZE, SIZE), generator=_seeded(seed)) + 4 * torch.randn(
        n, 3, 1, 1, generator=_seeded(seed)
    )
    return TensorSplit((GREY * 255 + noise).to(torch.uint8), labels)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
