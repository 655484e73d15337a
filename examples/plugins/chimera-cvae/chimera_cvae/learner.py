"""How the fuser learns: the core runs the loop, and calls ``step`` for every batch."""

from typing import Any

import torch
from chimera_core.api import (
    Batch,
    Draw,
    Ema,
    Engine,
    FuserData,
    FuserLearner,
    build_optimizer,
    parameter_groups,
    set_rate,
)
from torch import Tensor, nn
from torch.nn.functional import mse_loss, one_hot

from chimera_cvae.networks import Decoder, Encoder, code_of
from chimera_cvae.plugin import CvaeConfig


class CvaeLearner(FuserLearner):
    """A variational autoencoder (Kingma and Welling 2014), told the class of every image."""

    def __init__(self, config: CvaeConfig, data: FuserData, *, device: torch.device | str) -> None:
        self.config, self.size, self.classes = config, data.size, len(data.classes)
        shape: dict[str, Any] = {
            "classes": self.classes,
            "codes": config.codes,
            "width": config.width,
            "size": data.size,
        }
        # The core has seeded torch's generator: every process begins with the same weights.
        self.encoder = Encoder(**shape).to(device)
        self.decoder = Decoder(**shape).to(device)
        self.average = Ema(self.decoder, config.decay)
        both = nn.ModuleList([self.encoder, self.decoder])
        self.adam = build_optimizer(parameter_groups(both, weight_decay=0), "adam", lr=config.lr)
        # What these two hold is all that a checkpoint keeps: nothing else may change by a step.
        self.modules = {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "average": self.average.module,
        }
        self.optimizers = {"adam": self.adam}

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        """Learn from one batch: forward, backward and the optimizer's step are done here."""
        x, shares = batch.pixels(), self._shares(batch.labels)
        with engine.autocast():  # mixed precision, where the user wants it
            mean, log_variance = self.encoder(x, shares)
            noise = draw.normal(self.config.codes, purpose="code")
            drawn = self.decoder(mean + (0.5 * log_variance).exp() * noise, shares)
        difference = mse_loss(drawn, x)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        loss = difference + self.config.kl * kl
        loss.backward()
        engine.average_gradients([*self.encoder.parameters(), *self.decoder.parameters()])
        set_rate(self.adam, engine.rate)
        self.adam.step()
        self.adam.zero_grad()
        self.average.update(self.decoder, draw.step or 0)
        return {"loss": loss.detach(), "difference": difference.detach(), "kl": kl.detach()}

    def state(self) -> dict[str, Tensor]:
        """Give what ``Cvae.load`` takes up: the averaged decoder."""
        return {name: t.detach().clone() for name, t in self.average.module.state_dict().items()}

    @torch.no_grad()
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        """Draw images of the classes in turn: float32 (count, 3, S, S) in [0, 1], on the CPU."""
        decoder = self.average.module if averaged else self.decoder
        place = next(decoder.parameters()).device
        labels = torch.arange(seed, seed + count) % self.classes
        codes = torch.stack([code_of(seed + k, self.config.codes) for k in range(count)])
        images: Tensor = decoder(codes.to(place), self._shares(labels.to(place)))
        return images.cpu()

    def _shares(self, labels: Tensor) -> Tensor:
        return one_hot(labels, self.classes).float()
