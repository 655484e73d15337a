"""A fuser while it learns: what the core adds to a plugin's learner. Quality, pictures, and what it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from chimera_core.data.batches import Batch
from chimera_core.data.subsets import spread_subset
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.weights import load_state, to_float32
from chimera_core.interfaces.components import FeatureEncoder, FusionGenerator
from chimera_core.interfaces.guards import check_learned, check_learner, check_samples, check_scalars
from chimera_core.interfaces.learner import Engine, FuserLearner, TrainedFacts
from chimera_core.models.fusers import find_trained_fuser
from chimera_core.models.run_options import FUSER, read_options
from chimera_core.options.training import FuserTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw
from chimera_core.runs import checkpoints
from chimera_core.runs.record import find_run
from chimera_core.scoring.judge.features import QualityJudge
from chimera_core.training.fuser_pictures import draw_samples, draw_sweeps
from chimera_core.training.learner import Learner, TrainingPlan
from chimera_core.training.parts.metrics import RESERVED_BY_FUSERS

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_HELD_OUT = 512  # held-out images at most that the critic is asked about
_SAMPLE_SEED = 1_000_003  # of the images whose quality is measured; those of the pictures begin at 0
_SUBSET = 1000  # images at most of a draw of the kernel distance, as the field has it
_TOGETHER = 64  # images made at a time


@dataclass(frozen=True, kw_only=True)
class FuserPlan(TrainingPlan):
    """A fuser's training that has been checked.

    ``fuser`` and ``options`` make the fuser that draws sweeps on the way; without a ``judge`` no quality is measured.
    """

    config: FuserTraining
    fuser: type[FusionGenerator]
    options: BaseModel
    learning: FuserLearner
    judge: FeatureEncoder | None = None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks that a checkpoint must fit, by name."""
        return self.learning.modules

    def begin(self, host: PluginHost) -> None:
        """Put into the networks what another training has learned, where ``init_from`` names one."""
        if self.config.init_from is not None:
            begin_from(self.learning, self.config, host)

    def facts(self) -> dict[str, Any]:
        """Give what ``run.json`` keeps of this kind of training: which parents it accepts may depend on what it learns."""
        made = self.make_fuser("cpu")
        return {
            "kind": FUSER,
            "fuser": self.config.fuser.name,
            "accepts": sorted(made.accepts),
            "max_parents": made.max_parents,
            "parameters": count_parameters(self.learning),
        }

    def learner(self, fabric: Fabric, folder: Path) -> Learner:
        """Build what the loop drives."""
        return FuserTrainer(self, fabric, folder)

    def make_fuser(self, device: torch.device | str) -> FusionGenerator:
        """Make the fuser of what has been learned so far, by the interface alone."""
        fuser = self.fuser(self.options, device=device)
        state, extra = self.learning.state(), self.learning.facts()
        check_learned(state, extra, f"fuser {self.config.fuser.name}")
        facts = TrainedFacts(self.classes, self.config.size, extra)
        fuser.load({name: t.detach().cpu() for name, t in state.items()}, facts)
        return fuser


class FuserTrainer(Learner):
    """Trains a plugin's fuser, measures its quality and draws its pictures.

    Raises:
        PluginError: if the learner gives a module and an optimizer one name.
    """

    metric = "kid"
    panels = (
        ("critic_loss", "projected_loss", "generator_loss", "loss", "cycle_loss", "identity_loss"),
        ("kid",),
        ("critic_estimate", "critic_held_out"),
        ("rate",),
    )

    def __init__(self, plan: FuserPlan, fabric: Fabric, folder: Path) -> None:
        config = plan.config
        self._plan, self._learner, self._folder = plan, plan.learning, folder
        self._device, self._is_first = fabric.device, fabric.is_global_zero
        check_learner(plan.learning, config.fuser.name)
        self.modules, self.optimizers = plan.learning.modules, plan.learning.optimizers
        self._logged: set[str] | None = None
        if config.precision == "bf16":
            for module in self.modules.values():
                module.to(memory_format=torch.channels_last)
        self._judge = _open_quality_judge(plan, fabric.device)
        self.is_measured = self._judge is not None
        self.measure_images = config.quality_images or 0
        self.sample_images = config.sample_images or 0
        self.patience = config.patience

    def start(self) -> None:
        """Compile what the plugin compiles."""
        if self._plan.config.compile:
            self._learner.compile()

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> Mapping[str, Tensor]:
        """Update the networks once."""
        if self._plan.config.augment == "flip":
            mirrored = draw.uniform(purpose="flip").view(-1, 1, 1, 1) < 0.5
            batch = replace(batch, images=torch.where(mirrored, batch.images.flip(-1), batch.images))
        scalars = self._learner.step(batch, draw=draw, engine=engine)
        # Looked at in full where something is new: the first step, and names that come later.
        if self._logged is None or not isinstance(scalars, dict) or not scalars.keys() <= self._logged:
            check_scalars(scalars, self._who, "its learner's step", RESERVED_BY_FUSERS)
            self._logged = {*(self._logged or ()), *scalars}
        return scalars

    @property
    def _who(self) -> str:
        return f"fuser {self._plan.config.fuser.name}"

    def rates(self, engine: Engine) -> dict[str, float]:
        """Give the factor of every learning rate."""
        return {"rate": engine.rate}

    def measure(self, engine: Engine) -> dict[str, Any]:
        """Measure quality; the first process does it, the others wait."""
        if self._judge is None or not self._is_first:
            return {}
        count = self._plan.config.judge_images
        samples = []
        for k in range(0, count, _TOGETHER):
            some = min(_TOGETHER, count - k)
            samples.append(self._learner.sample(some, seed=_SAMPLE_SEED + k, averaged=True))
            check_samples(samples[-1], some, self._who)
        found: dict[str, Any] = self._judge.measure(torch.cat(samples))
        return {**found, **self._ask_critic(engine), "extractor": self._judge.name}

    def better(self, found: Mapping[str, Any], best: Mapping[str, Any] | None, images: int) -> dict[str, Any]:
        """Give the better measurement, with how many there were, and since it; of equals, the later."""
        measured, since = (best["measured"], best["since"] + 1) if best else (0, 0)
        if best is None or found["kid"] <= best["kid"]:
            best, since = {"images": images, "kid": found["kid"], "extractor": found["extractor"]}, 0
        return {**best, "measured": measured + 1, "since": since}

    def weights(self, noted: Mapping[str, Any]) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """Give what ``FusionGenerator.load`` takes, and the plain values that its file carries."""
        facts = {"images": noted["images"], "kid": noted.get("kid"), "facts": self._learner.facts()}
        state = self._learner.state()
        check_learned(state, facts["facts"], self._who)
        return state, facts

    def draw_pictures(self, images: int) -> None:
        """Draw samples, and sweeps between classes where they are quick."""
        draw_samples(self._folder, self._learner, images, of=self._who)
        classes = self._plan.classes
        if self._learner.shows_sweeps and len(classes) > 1:
            fuser = self._plan.make_fuser(self._device)
            draw_sweeps(self._folder, fuser, classes, images, size=self._plan.config.size)

    def title(self, run: str) -> str:
        """Give the title of ``progress.png``, with what its distance is measured by."""
        return run + (f": kid is KID[{self._judge.name}]" if self._judge else "")

    def _ask_critic(self, engine: Engine) -> dict[str, float]:
        """Ask the critic about held-out images."""
        config, val = self._plan.config, self._plan.data.val
        some = spread_subset(val, min(_HELD_OUT, config.batch * 8))
        rows = torch.arange(len(some))
        there = rows.to(engine.device)
        batch = Batch(some.take(rows).to(engine.device), some.labels.to(there), some.domains.to(there), there)
        return self._learner.critic_estimate(
            batch, draw=Draw(config.seed, engine.images, there), engine=engine
        )


def _open_quality_judge(plan: FuserPlan, device: torch.device) -> QualityJudge | None:
    """Build the judge; its spread is over random halves of the images, 1000 at most: draws of all would be alike."""
    if plan.judge is None or plan.config.judge is None:
        return None
    images = plan.config.judge_images
    half = max(2, min(images, len(plan.data.val)) // 2)
    return QualityJudge(
        plan.judge.to(device).eval(),
        plan.config.judge.name,
        plan.data.val,
        images=images,
        device=device,
        subset_size=min(half, _SUBSET),
    )


def count_parameters(learner: FuserLearner) -> dict[str, int]:
    """Count the parameters of each network."""
    counts = {name: sum(p.numel() for p in m.parameters()) for name, m in learner.modules.items()}
    return {name: count for name, count in counts.items() if count}


def begin_from(learner: FuserLearner, config: FuserTraining, host: PluginHost) -> None:
    """Put what another training has learned into a learner; optimizers begin anew.

    A run of the same size gives all its networks, as its newest checkpoint has them; one of another size, an exported file
    or a model what a fuser of it has.

    Args:
        config: names the other by ``init_from``.
    Raises:
        ConfigError: if there is no such run of a fuser, or the learner cannot begin with it.
        DataError: if it has no checkpoint, or its networks are of another architecture.
    """
    name = config.init_from or ""
    run = find_run(name, host.settings.path("runs"))
    try:
        if run is not None and read_options(run, FuserTraining, FUSER, host)[0].size == config.size:
            _begin_from_checkpoint(learner, run)
        else:
            _begin_from_fuser(learner, config, name, host)
    except (ConfigError, DataError) as error:
        raise type(error)(f"--init-from {name}: {error}") from None


def _begin_from_checkpoint(learner: FuserLearner, run: Path) -> None:
    checkpoint, _ = checkpoints.newest_checkpoint(run / checkpoints.FOLDER)
    if checkpoint is None:
        raise DataError("the run has no checkpoint yet: nothing to begin from")
    checkpoints.restore(checkpoint, modules=learner.modules, optimizers={})


def _begin_from_fuser(learner: FuserLearner, config: FuserTraining, name: str, host: PluginHost) -> None:
    found = find_trained_fuser(host, name)
    if found is None:
        raise ConfigError("there is no such run, exported file or model: check its name")
    if found.component != host.find(config.fuser.kind, config.fuser.name):
        raise ConfigError(f"it is one of {found.component.full_name}, not of {config.fuser.name}")
    header = found.header
    facts = TrainedFacts(header.classes, header.size, header.facts)
    learner.begin_from(to_float32(load_state(found.weights)), found.with_options(host).config, facts)
