"""``gan``: parents are conditions, and fusing is mixing conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import (
    ConfigError,
    DataError,
    FeatureEncoder,
    FuserData,
    FuserLearner,
    FusionGenerator,
    Parent,
    TrainedFacts,
    check_state,
    load_encoder,
)
from chimera_gan.balance import Turns, bend_weights, find_turns
from chimera_gan.building import build_generator
from chimera_gan.conditions import look, one_hot, seeded
from chimera_gan.config import GanConfig
from chimera_gan.faces import SAMPLES, FacesOfGenerator
from chimera_gan.gan_learner import GanLearner
from chimera_gan.generating import generate, noise_of, render
from chimera_gan.interpolation import Principal, linear_mix, spherical_mix
from chimera_gan.inversion import middle_square
from chimera_gan.latents import ClassLatents
from chimera_gan.unconditional import LatentParents, latent_shapes

_TOGETHER = 64
_REMEMBERED = 64  # sets of parents and seeds


class GanFuser(FusionGenerator):
    """Makes creatures from mixed conditions, with one noise per seed.

    With condition ``class`` a parent is a class, and its condition the class's share; mixing is linear. With
    ``instance`` a parent is a photograph, whose condition is what the encoder sees in it, or a class, which stands
    for one of its training images, another for every seed; mixing is spherical, and equal weights give a creature in
    which the encoder sees as much of each (``balance``). Weight 1 gives a sample of that parent.
    With ``none`` the noise itself is mixed, spherically: a class is the mean latent of samples that a probe gives to it,
    turned toward the seed's noise (``spread``), a photograph the latent that comes nearest to it, the same for all seeds.
    Pictures are made at the size that was learned and enlarged (bicubic) to the one asked for. Of a generator that draws faces
    in one frame, photographs are turned and cropped to it, and what it draws goes in the place of the first one's face.

    Source: Mirza and Osindero 2014, arXiv:1411.1784 (class); Casanova et al. 2021, arXiv:2109.05070 (instance).
    """

    needs_training = True
    accepts: frozenset[str] = frozenset({"photo", "class"})

    config: GanConfig

    def __init__(self, config: GanConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        if config.condition == "class":
            self.accepts = frozenset({"class"})

    @classmethod
    def learner(cls, config: GanConfig, data: FuserData, *, device: torch.device | str) -> FuserLearner:
        """Build generator, critic and condition."""
        return GanLearner(config, data, device=device)

    def load(self, state: Mapping[str, Tensor], facts: TrainedFacts) -> None:
        """Take up what was learned."""
        self.classes, self.native = facts.classes, facts.size
        self._principal: Principal | None = None
        size = {"none": 0, "class": len(facts.classes), "instance": self.config.components}[
            self.config.condition
        ]
        with torch.device("meta"):
            generator = build_generator(self.config, size=facts.size, condition=size)
        wanted = {f"generator.{k}": (tuple(v.shape), v.dtype) for k, v in generator.state_dict().items()}
        if self.config.condition == "instance":
            wanted |= self._condition_shapes(state, size)
        if self.config.condition == "none":
            wanted |= latent_shapes(self.classes, self.config.noise)
        check_state(state, wanted, where="what was learned")
        _fill(generator, state, "generator", self.device)
        self._generator = generator.eval().requires_grad_(False)
        if self.config.condition == "none":
            latents = None
            if len(self.classes) > 1:
                latents = ClassLatents(state["latents.mean"].to(self.device), state["latents.counts"])
            self._latents = LatentParents(self.config, generator, self.classes, latents)
        if self.config.condition == "instance":
            features = state["condition.principal.mean"].shape[0]
            self._principal = Principal(features, size)
            _fill(self._principal, state, "condition.principal", self.device)
            self._bank = state["condition.bank"].to(self.device)
        self._encoder: FeatureEncoder | None = None
        self._turns: dict[tuple[tuple[int, ...], bytes], Turns] = {}
        self._faces = FacesOfGenerator(self._samples, device=self.device)

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Mix the parents' conditions, or latents, and generate.

        Raises:
            ConfigError: for a class that was not learned, or a photograph where only classes were.
        """
        shares = torch.tensor(weights, dtype=torch.float32, device=self.device)
        first, parents = parents[0], [self._aligned(parent) for parent in parents]
        if self.config.condition == "none":
            made = self._of_latents(parents, shares, seeds)
        else:
            given = torch.stack([self._condition(parent, k, seeds) for k, parent in enumerate(parents)])
            mix = spherical_mix if self._principal is not None else linear_mix
            if self._principal is not None and self.config.balance == "seen" and (shares > 0).sum() > 1:
                shares = bend_weights(shares, self._turns_of(given, tuple(seeds)))
            made = generate(
                self._generator,
                seeds,
                mix(given, shares),
                noise=self.config.noise,
                device=self.device,
                truncation=self.config.truncation,
            )
        if self.config.paste and (pasted := self._faces.pasted(made, first, size=size)) is not None:
            return pasted
        if size == self.native:
            return made
        return F.interpolate(made, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(
            0, 1
        )

    def _aligned(self, parent: Parent) -> Parent:
        """Bring a photograph to the frame in which faces were learned."""
        if "photo" not in self.accepts:
            return parent
        aligned = self._faces.aligned(parent)
        if aligned is parent and parent.image is not None and self._faces.eyes is not None:
            self.remark(f"no face was found in {parent.name}: its middle square is taken")
        return aligned

    def _samples(self) -> Tensor:
        """Draw some pictures, float (N, 3, S, S), of all that was learned."""
        seeds, given = range(SAMPLES), None
        if self._principal is not None:
            labels = torch.arange(SAMPLES, device=self.device)
            given = self._bank[labels % len(self._bank), labels % self._bank.shape[1]]
        return generate(self._generator, seeds, given, noise=self.config.noise, device=self.device)

    def _of_latents(self, parents: Sequence[Parent], shares: Tensor, seeds: Sequence[int]) -> Tensor:
        """Mix the parents' latents, with one noise per seed, and generate."""
        noise = noise_of(seeds, self.config.noise).to(self.device)
        each = [
            self._latents.latent(
                parent,
                noise,
                progress=lambda done, total, k=k: self.progress(k * total + done, len(parents) * total),  # type: ignore[misc]
            )
            for k, parent in enumerate(parents)
        ]
        mixed = spherical_mix(torch.stack(each), shares)
        return render(self._generator, mixed * self.config.truncation, None, seeds=seeds)

    def _condition(self, parent: Parent, index: int, seeds: Sequence[int]) -> Tensor:
        """Give the condition (N, C) of one parent for every seed."""
        if parent.class_name is not None and parent.class_name in self.classes:
            label = self.classes.index(parent.class_name)
            if self._principal is None:
                own = one_hot(torch.tensor([label], device=self.device), len(self.classes))
                return own.expand(len(seeds), -1)
            # Of two parents of one class each is another image.
            rows = [
                int(torch.randint(self._bank.shape[1], (1,), generator=seeded(seed * 1009 + index)))
                for seed in seeds
            ]
            return self._bank[label, torch.tensor(rows, device=self.device)]
        if parent.image is not None and self._principal is not None:
            return self._seen(parent.image).expand(len(seeds), -1)
        raise ConfigError(
            f"{parent.name} is not a class that this GAN learned: it knows {', '.join(self.classes[:20])}"
        )

    def _turns_of(self, given: Tensor, seeds: tuple[int, ...]) -> Turns:
        """Give what ``bend_weights`` needs of these parents and seeds; a sweep asks again and again."""
        key = seeds, given.cpu().numpy().tobytes()
        if key in self._turns:
            return self._turns[key]
        config = self.config

        def see(conditions: Tensor, rows: Tensor) -> Tensor:
            made = generate(
                self._generator,
                [seeds[row] for row in rows.tolist()],
                conditions,
                noise=config.noise,
                device=self.device,
                truncation=config.truncation,
            )
            return self._see(made)

        turns = find_turns(given, mix=spherical_mix, look=see, centres=self._bank.mean(1))
        if len(self._turns) >= _REMEMBERED:
            self._turns.pop(next(iter(self._turns)))
        self._turns[key] = turns
        return turns

    def _seen(self, image: Tensor) -> Tensor:
        """Give the condition (1, C) of a photograph: its middle square, as small as those that were learned."""
        return self._see(middle_square(image.to(self.device), self.native))

    def _see(self, images: Tensor) -> Tensor:
        """Give the conditions (N, C) of images (N, 3, S, S) in [0, 1]."""
        assert self._principal is not None
        if self._encoder is None:
            reference = self.config.encoder
            encoder = load_encoder(reference.name, device=self.device, **reference.options)
            self._encoder = encoder.requires_grad_(False)
        parts = [
            look(self._encoder, some, size=self.config.encoder_size)
            for some in torch.split(images, _TOGETHER)
        ]
        found: Tensor = self._principal(torch.cat(parts))
        return found

    def _condition_shapes(
        self, state: Mapping[str, Tensor], size: int
    ) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Return which tensors the condition has; the file says how many features and images."""
        mean, bank = state.get("condition.principal.mean"), state.get("condition.bank")
        if mean is None or mean.ndim != 1 or bank is None or bank.ndim != 3 or not bank.shape[1]:
            raise DataError(
                "what was learned has no features of images: it is of a GAN with another condition"
            )
        # Not those of a Principal that is built for it: a stranger's file could ask for more memory than there is.
        shapes = {
            "bank": (len(self.classes), bank.shape[1], size),
            "principal.mean": (mean.shape[0],),
            "principal.directions": (size, mean.shape[0]),
            "principal.scale": (),
        }
        return {f"condition.{name}": (shape, torch.float32) for name, shape in shapes.items()}


def _fill(module: nn.Module, state: Mapping[str, Tensor], prefix: str, device: torch.device) -> None:
    """Give a module, which may be without memory, its part of a checked state."""
    own = {k.removeprefix(f"{prefix}."): v for k, v in state.items() if k.startswith(f"{prefix}.")}
    module.to_empty(device=device)
    module.load_state_dict(own)
