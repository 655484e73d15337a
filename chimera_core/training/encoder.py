"""An encoder while it learns: its loss, gradients and average, and how it is validated.

On several devices DDP averages the gradients. Batch norm sees only a process's own share of a batch; its running
statistics are those of the first process. Networks without it train as on one device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from chimera_core.data.batches import Batch, ImageSplit, evaluation_batches
from chimera_core.data.subsets import spread_subset
from chimera_core.interfaces.components import FeatureEncoder, RobustnessTrainer
from chimera_core.interfaces.guards import check_loss, check_scalars
from chimera_core.interfaces.learner import Engine
from chimera_core.models.run_options import ENCODER
from chimera_core.options.training import EncoderTraining
from chimera_core.randomness import Draw
from chimera_core.training import launch
from chimera_core.training.learner import Learner, TrainingPlan
from chimera_core.training.parts.accuracy import Counts, count_attacked, count_predictions
from chimera_core.training.parts.ema import Ema
from chimera_core.training.parts.metrics import RESERVED_BY_ENCODERS
from chimera_core.training.parts.optimizers import (
    build_optimizer,
    layer_factors,
    parameter_groups,
    set_rate,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_ATTACKED = 1024  # images of the validation split at most that are attacked: an attack costs many passes

Vary = Callable[[Tensor, Tensor, Draw], tuple[Tensor, Tensor]]
"""Augmentation: images (N, 3, H, W), labels (N,) and their draw -> images, and labels or shares of classes (N, K)."""


@dataclass(frozen=True, kw_only=True)
class EncoderPlan(TrainingPlan):
    """An encoder's training that has been checked."""

    config: EncoderTraining
    encoder: FeatureEncoder
    trainer: RobustnessTrainer
    vary: Vary = lambda x, y, draw: (x, y)
    pasted: Mapping[str, Any] | None = None
    """Of ``--augment copy-paste``: what ``run.json`` keeps of it."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks that a checkpoint must fit, by name."""
        return {"model": self.encoder}

    def facts(self) -> dict[str, Any]:
        """Give what ``run.json`` keeps of this kind of training."""
        return {
            "kind": ENCODER,
            "encoder": self.config.encoder.name,
            "trainer": self.config.trainer.name,
            "parameters": sum(p.numel() for p in self.encoder.parameters()),
            **({} if self.pasted is None else {"copy_paste": dict(self.pasted)}),
        }

    def learner(self, fabric: Fabric, folder: Path) -> Learner:
        """Build what the loop drives."""
        return EncoderLearner(self, fabric)


class EncoderLearner(Learner):
    """Trains an encoder by a ``RobustnessTrainer``'s loss."""

    metric = "val_accuracy"
    panels = (
        ("loss", "val_loss", "clean_loss", "divergence"),
        ("accuracy", "robust_accuracy", "val_accuracy", "val_robust_accuracy", "val_macro_f1"),
        ("lr",),
    )
    watched = ("loss",)  # what a trainer logs beside it may have no value

    def __init__(self, plan: EncoderPlan, fabric: Fabric) -> None:
        self._plan, self._fabric, self._config = plan, fabric, plan.config
        config, self._encoder = plan.config, plan.encoder.to(fabric.device)
        if config.precision == "bf16":
            self._encoder.to(memory_format=torch.channels_last)
        self._ema = Ema(self._encoder, config.ema) if config.ema else None
        self._judged = self._ema.module if self._ema else self._encoder
        self._optimizer = build_optimizer(
            parameter_groups(
                self._encoder,
                weight_decay=config.weight_decay,
                decay_all=config.optimizer != "adamw",
                factors=layer_factors(self._encoder, config.layer_decay),
            ),
            config.optimizer,
            lr=config.lr,
            momentum=config.momentum,
        )
        self._learned = [p for group in self._optimizer.param_groups for p in group["params"]]
        trainer = plan.trainer
        trainer.begin((config.batch, 3, config.size, config.size), fabric.device)
        self.modules = {
            "model": self._encoder,
            **({"ema": self._ema.module} if self._ema else {}),
            **({"trainer": trainer.state} if trainer.state is not None else {}),
        }
        self.optimizers = {"optimizer": self._optimizer}
        self.measure_images = config.validate_images or 0
        self._logged: set[str] | None = None
        self._who = f"trainer {config.trainer.name}"

    def start(self) -> None:
        """Compile the encoder, and wrap its loss for DDP."""
        if self._config.compile:
            self._encoder.compile()
        objective = _Objective(self._encoder, self._plan.trainer, self._who)
        self._objective = self._fabric.setup_module(objective)
        self._encoder.train()

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> Mapping[str, Tensor]:
        """Update the encoder once, or as often as its trainer replays a batch; the last time is logged."""
        set_rate(self._optimizer, engine.rate)
        x, y = self._plan.vary(batch.pixels(), batch.labels, draw)
        inputs = _Inputs(x, y, draw)
        for _ in range(self._plan.trainer.replays - 1):
            self._update(inputs, engine)
        return self._update(inputs, engine)

    def _update(self, inputs: _Inputs, engine: Engine) -> Mapping[str, Tensor]:
        loss, parts = self._objective(inputs)
        if self._logged is None or not isinstance(parts, dict) or not parts.keys() <= self._logged:
            check_scalars(parts, self._who, "loss", RESERVED_BY_ENCODERS)
            self._logged = {*(self._logged or ()), *parts}
        self._fabric.backward(loss)
        if self._config.clip is not None:
            parts["gradient_norm"] = clip_grad_norm_(self._learned, self._config.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._ema:
            self._ema.update(self._encoder, engine.images // self._config.batch)
        return {"loss": loss.detach(), **parts}

    def rates(self, engine: Engine) -> dict[str, float]:
        """Give the learning rate of the first group of parameters."""
        return {"lr": float(self._optimizer.param_groups[0]["lr"])}

    def measure(self, engine: Engine) -> dict[str, Any]:
        """Validate, shared out among the processes; under attack too where the training attacks."""
        plan, fabric, judged = self._plan, self._fabric, self._judged
        launch.share_buffers(fabric, judged, self._encoder)

        def own_batches(images: ImageSplit) -> Iterator[Batch]:
            return evaluation_batches(
                images,
                batch=max(64, self._config.batch // fabric.world_size),
                device=fabric.device,
                rank=fabric.global_rank,
                world_size=fabric.world_size,
            )

        with fabric.autocast():
            own = count_predictions(
                judged, own_batches(plan.data.val), classes=len(plan.classes), device=fabric.device
            )
            some = spread_subset(plan.data.val, _ATTACKED)
            attacked = count_attacked(
                judged, own_batches(some), plan.trainer, seed=self._config.seed, device=fabric.device
            )
        counts = Counts(launch.total(fabric, own.confusion), launch.total(fabric, own.loss))
        found = {
            "val_accuracy": counts.accuracy,
            "val_macro_f1": counts.macro_f1,
            "val_loss": counts.mean_loss,
        }
        right, n = launch.total(fabric, attacked).tolist()
        if n:
            found["val_robust_accuracy"] = right / n
        return found

    def better(self, found: Mapping[str, Any], best: Mapping[str, Any] | None, images: int) -> dict[str, Any]:
        """Give the better validation, under attack where training attacks; of equals, the later.

        Source: that robust accuracy falls again while other measures still improve: Rice et al. 2020,
        arXiv:2002.11569.
        """
        new = {"images": images, "accuracy": found["val_accuracy"]}
        if "val_robust_accuracy" in found:
            new["robust_accuracy"] = found["val_robust_accuracy"]
        key = "robust_accuracy" if "robust_accuracy" in new else "accuracy"
        return dict(best) if best is not None and new[key] < best.get(key, -1.0) else new

    def weights(self, noted: Mapping[str, Any]) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """Give the weights that are validated: averaged ones, if there are."""
        return self._judged.state_dict(), noted


class _Inputs:
    """A batch on its way into the network.

    No tuple or dataclass: in mixed precision Fabric rounds every floating tensor that it finds in those to bfloat16,
    whose steps near 1 are as large as 1/255. Images and attacks stay in fp32; only the network computes in less.
    """

    def __init__(self, images: Tensor, labels: Tensor, draw: Draw) -> None:
        self.images = images
        self.labels = labels
        self.draw = draw


class _Objective(nn.Module):
    """The loss as one module: DDP's hooks see one forward and one backward pass, and not those of attacks within."""

    def __init__(self, encoder: FeatureEncoder, trainer: RobustnessTrainer, who: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.trainer = trainer
        self._who = who
        self._is_checked = False

    def forward(self, inputs: _Inputs) -> tuple[Tensor, dict[str, Tensor]]:
        given = self.trainer.loss(self.encoder, inputs.images, inputs.labels, draw=inputs.draw)
        if not self._is_checked:
            check_loss(given, self._who)
            self._is_checked = True
        return given
