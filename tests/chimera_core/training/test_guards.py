"""A broken learner, trainer or source ends in one line that names plugin, method and contract."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core.api import ConfigError, FusionGenerator, PluginError, SourceInfo
from chimera_core.fusing.fusion import check_made
from chimera_core.interfaces import guards
from chimera_core.plugins import discovery
from chimera_core.testing import SmallEncoder, train_encoder, train_fuser

PLUGIN = """
from chimera_core.api import ComponentSpec, Config, hookimpl, option
from chimera_core.testing.fakes.config import MeanImageConfig

CHIMERA_API = 1

class WrongConfig(Config):
    how: str = option("", help="what is wrong")

class LearnsConfig(MeanImageConfig):
    how: str = option("", help="what is wrong")

@hookimpl
def chimera_fusion_generators():
    return [ComponentSpec("learns", "learns", "wrong_parts:Learns", LearnsConfig)]

@hookimpl
def chimera_robustness_trainers():
    return [ComponentSpec("teaches", "teaches", "wrong_parts:Teaches", WrongConfig)]

@hookimpl
def chimera_dataset_sources():
    return [ComponentSpec("holds", "holds", "wrong_parts:Holds", WrongConfig)]
"""
PARTS = """
import torch
from torch.nn import functional as F
from chimera_core.api import DatasetSource, Example, RobustnessTrainer, SourceInfo
from chimera_core.testing.fakes.mean_image import MeanImage, MeanImageLearner


class Learns(MeanImage):
    @classmethod
    def learner(cls, config, data, *, device):
        return None if config.how == "no learner" else Learner(config, data, device=device)


class Learner(MeanImageLearner):
    def __init__(self, config, data, *, device):
        super().__init__(config, data, device=device)
        if config.how == "no modules":
            self.modules = list(self.modules.values())

    def step(self, batch, *, draw, engine):
        found = super().step(batch, draw=draw, engine=engine)
        odd = {"tensor": found["loss"], "nothing": None, "rate": {"rate": found["loss"]}, "floats": {"loss": 0.5},
               "late": {**found, **({"kid": found["loss"]} if draw.step == 2 else {})}}
        return odd.get(self.config.how, found)

    def state(self):
        return list(super().state().values()) if self.config.how == "state" else super().state()

    def facts(self):
        return {"mean": torch.zeros(1)} if self.config.how == "facts" else {}

    def sample(self, count, *, seed, averaged=True):
        made = super().sample(count, seed=seed)
        return {"to 255": 255 * made, "one": made[0]}.get(self.config.how, made)


class Teaches(RobustnessTrainer):
    def __init__(self, config):
        self.how = config.how

    def perturb(self, encoder, x, y, *, draw):
        return x[..., :-1] if self.how == "smaller" else x

    def loss(self, encoder, x, y, *, draw):
        loss = F.cross_entropy(encoder(x), y)
        return {"alone": loss, "each": (F.cross_entropy(encoder(x), y, reduction="none"), {}),
                "detached": (loss.detach(), {}), "lr": (loss, {"lr": loss.detach()}), "list": (loss, [])}.get(
                    self.how, (loss, {}))


class Holds(DatasetSource):
    def __init__(self, config):
        self.how = config.how
        self.labels = [0, 1] if self.how == "two labels" else [0, 1] * 12

    @property
    def info(self):
        if self.how == "dict":
            return {"name": "holds"}
        return SourceInfo("holds", ("a", "b"), {"train": 24})

    def open(self, split):
        return [1, 2] if self.how == "list" else self

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return Example(torch.full((3, 16, 16), index, dtype=torch.uint8), index % 2)
"""


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "wrong_plugin.py").write_text(PLUGIN)
    (tmp_path / "wrong_parts.py").write_text(PARTS)
    info = tmp_path / "wrong-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chimera.plugins]\nwrong = wrong_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    discovery._discover_once.cache_clear()
    yield tmp_path
    discovery._discover_once.cache_clear()
    for name in ("wrong_plugin", "wrong_parts"):
        sys.modules.pop(name, None)


def message_of(train: Callable[[], Any]) -> str:
    with pytest.raises(PluginError) as caught:
        train()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("no learner", "`learner` gave a NoneType instead of a FuserLearner: mend the plugin"),
        ("no modules", "its learner's `modules` is a list instead of a dict of Module by name"),
        ("tensor", "its learner's step gave float32 () instead of a dict of scalar tensors"),
        ("nothing", "its learner's step gave a NoneType instead of a dict of scalar tensors"),
        ("floats", "its learner's step gave for 'loss' a float instead of a scalar tensor"),
        ("rate", "its learner's step logs 'rate', which the training logs itself: rename it in the plugin"),
        ("late", "its learner's step logs 'kid', which the training logs itself"),
        ("state", "its learner's state gave a list instead of a dict of tensors"),
        (
            "facts",
            "its learner's facts are not plain values (Object of type Tensor is not JSON serializable)",
        ),
        ("to 255", "its learner's sample gave pixels from "),
        ("one", "its learner's sample gave float32 (3, 16, 16) instead of float32 (25, 3, S, S) in [0, 1]"),
    ],
)
def test_a_broken_learner_is_named_with_its_method(wrong: Path, how: str, expected: str) -> None:
    def train() -> None:
        train_fuser("learns", wrong / "run", options={"how": how}, images=16)

    said = message_of(train)
    assert said.startswith("fuser wrong:learns: ") and expected in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("alone", "loss gave float32 () instead of (scalar tensor, dict of metrics): mend the plugin"),
        ("each", "loss gave float32 (4,) instead of a scalar tensor"),
        ("detached", "loss gave a scalar without a gradient"),
        ("list", "loss gave a list instead of a dict of scalar tensors"),
        ("lr", "loss logs 'lr', which the training logs itself"),
        ("smaller", "perturb gave float32 (8, 3, 16, 15) instead of float32 (8, 3, 16, 16)"),
    ],
)
def test_a_broken_trainer_is_named_with_its_method(wrong: Path, how: str, expected: str) -> None:
    small = {"widths": (4,), "depth": 1}

    def train() -> None:
        how_wrong = {"how": how}
        train_encoder(
            "cnn", wrong / "run", trainer="teaches", options=small, trainer_options=how_wrong, images=8
        )

    said = message_of(train)
    assert said.startswith("trainer ") and expected in said


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("two labels", "split train has 2 labels for 24 images: mend the plugin"),
        ("list", "open('train') gave a list without labels"),
        ("dict", "info is a dict instead of a SourceInfo"),
    ],
)
def test_a_broken_source_is_named_with_its_method(wrong: Path, how: str, expected: str) -> None:
    source = {"name": "holds", "options": {"how": how}}
    said = message_of(lambda: train_fuser("learns", wrong / "run", source=source, images=16))
    assert said.startswith("source ") and expected in said


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            torch.zeros(1, 3, 24, 24),
            r"gave \(1, 3, 24, 24\), whose shorter side is not the 48 pixels asked for",
        ),
        (
            torch.zeros(1, 3, 48, 48, dtype=torch.uint8),
            r"gave uint8 \(1, 3, 48, 48\) instead of float32 in \[0, 1\]",
        ),
        (torch.full((1, 3, 48, 48), 200.0), r"gave pixels from 200 to 200 instead of \[0, 1\]"),
        (torch.full((1, 3, 48, 48), torch.nan), "gave NaN or infinite pixel values"),
    ],
)
def test_a_fuser_that_gives_other_pictures_is_named(made: torch.Tensor, expected: str) -> None:
    with pytest.raises(PluginError, match=f"fuser odd {expected}"):
        check_made(made, 1, "odd", size=48)


def test_what_is_a_little_off_is_clipped_and_not_refused() -> None:
    check_made(torch.full((1, 3, 48, 60), 1.02), 1, "odd", size=48)


def test_a_fuser_that_says_it_needs_training_must_have_a_learner() -> None:
    class Untaught(FusionGenerator):
        needs_training = True

        def fuse(self, parents: Any, weights: Any, *, seeds: Any, size: int) -> Any: ...

    class Born(Untaught):
        needs_training = False

    data: Any = None
    with pytest.raises(PluginError, match="fuser Untaught needs training, but has no `learner`"):
        Untaught.learner(None, data, device="cpu")
    with pytest.raises(PluginError, match="fuser Untaught needs training, but has no `load`"):
        Untaught(None).load({}, data)
    with pytest.raises(ConfigError, match="needs no training"):
        Born.learner(None, data, device="cpu")


def test_an_encoder_without_levels_or_with_features_of_another_shape_is_named() -> None:
    encoder = SmallEncoder()
    guards.check_levels(encoder, "encoder small")
    encoder.levels = ("first",)  # type: ignore[assignment]
    with pytest.raises(PluginError, match="encoder small: `levels` holds a str instead of a tuple of Level"):
        guards.check_levels(encoder, "encoder small")
    with pytest.raises(
        PluginError, match=r"encoder small: embed gave float32 \(2, 4, 1, 1\) instead of .*\(2, D\)"
    ):
        guards.check_features(torch.zeros(2, 4, 1, 1), 2, "encoder small")


def test_good_values_pass_every_guard() -> None:
    guards.check_scalars({"loss": torch.zeros(())}, "fuser x", "step", {"rate"})
    guards.check_info(SourceInfo("s", ("a",), {"train": 1}), "s")
    guards.check_learned({"means": torch.zeros(1)}, {"names": ["a"]}, "fuser x")
