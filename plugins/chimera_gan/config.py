"""Options of ``gan``. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from chimera_core.api import Config, EncoderRef, option

# With its plugin, so that a stranger who offers a "timm" too cannot get into the way.
TIMM = "timm:timm"

Objective = Literal["bce", "lsgan", "hinge", "wasserstein", "relativistic"]


class GanConfig(Config):
    """Networks, condition and objective of a generative adversarial network."""

    network: Literal["mlp", "dcgan", "resnet"] = option("dcgan", help="kind of both networks")
    noise: int = option(128, help="numbers that the generator starts from", ge=1, le=4096)
    channels: int = option(64, help="width of the networks where it is least", ge=4, le=512)
    most_channels: int | None = option(
        None, help="width of the networks where it is most, if it shall be capped", ge=4, le=8192
    )
    generator_norm: Literal["batch", "none"] = option("batch", help="normalisation in the generator")
    critic_norm: Literal["batch", "layer", "none"] = option("none", help="normalisation in the critic")
    activation: Literal["relu", "leaky"] = option(
        "relu", help="of the generator; the critic's is always leaky"
    )
    dropout: float = option(0.0, help="share of the generator's values that are dropped", ge=0, lt=1)
    dropout_in_use: bool = option(False, help="drop them when it is used, too")
    spectral_norm: bool = option(False, help="bound the critic's layers (Miyato 2018)")
    critic: Literal["own", "projected", "both"] = option(
        "own",
        help="who judges: a critic of pixels; small ones on a frozen network's features, by hinge and without the "
        "own critic's norms, objective and penalties (Sauer 2021); both",
    )
    critic_encoder: EncoderRef = option(
        EncoderRef(name=TIMM),
        help="critic projected, both: network, or run of one, on whose features it looks",
    )
    critic_encoder_size: int = option(128, help="side in pixels at which that sees images", ge=16, le=512)
    critic_pixels: bool = option(
        False,
        help="critic projected, both: one more on patches of pixels, for dots and stripes that features do not show",
    )

    grown: bool = option(
        False,
        help="begin with a generator of half the side that has learned (--init-from), and add a stage that doubles it",
    )
    grown_alone: int = option(
        0,
        help="images from which the new stage learns before any critic judges: to enlarge photographs",
        ge=0,
    )
    grown_after: int = option(0, help="images after which what was there before learns, too", ge=0)
    grown_rate: float = option(0.25, help="its share of the learning rate then", ge=0, le=1)
    grown_restore: float = option(
        10.0,
        help="weight of the absolute error of images that the new stage enlarges after they were shrunk",
        ge=0,
    )
    grown_keep: float = option(
        10.0,
        help="weight of the absolute error between the picture, shrunk, and the one before the new stage",
        ge=0,
    )

    condition: Literal["none", "class", "instance"] = option(
        "class", help="what tells the generator what to make: nothing, a class, or an image's features"
    )
    encoder: EncoderRef = option(
        EncoderRef(name=TIMM), help="network, or run of one, whose features are the condition"
    )
    encoder_size: int = option(128, help="side in pixels at which it sees images", ge=16, le=512)
    components: int = option(128, help="principal components of its features that are kept", ge=1, le=2048)
    bank: int = option(
        256, help="images per class whose features are kept, for parents that are classes", ge=1, le=65536
    )
    balance: Literal["seen", "condition"] = option(
        "seen",
        help="condition instance, what equal weights mean: as much of each parent by what the encoder sees in the "
        "creature, or equal conditions",
    )
    projection: bool = option(True, help="the critic sees the condition (Miyato and Koyama 2018)")
    mixed: float = option(
        0.0,
        help="share of each batch that is generated from mixed conditions, which only the unconditional part "
        "of the critic judges",
        ge=0,
        le=1,
    )

    probe: EncoderRef = option(
        EncoderRef(name=TIMM),
        help="condition none: network, or run of one, whose features tell classes apart and compare photographs",
    )
    probe_size: int = option(64, help="side in pixels at which it sees images", ge=16, le=512)
    probe_samples: int = option(
        1024, help="condition none: samples among which each class is looked for", ge=16, le=65536
    )
    spread: float = option(
        0.5,
        help="condition none: share of the way from a class's mean latent to a seed's noise; more: more variety, less "
        "of the class",
        gt=0,
        lt=1,
    )
    inversion_steps: int = option(
        200, help="condition none: steps that look for a photograph", ge=1, le=10000
    )

    objective: Objective = option("relativistic", help="what the two networks play for")
    label_smoothing: float = option(
        0.0, help="of bce: how much less than 1 the critic shall say of real images", ge=0, lt=0.5
    )
    r1: float = option(0.0, help="weight of the critic's squared gradient at real images", ge=0)
    r2: float = option(0.0, help="weight of the critic's squared gradient at fakes", ge=0)
    penalty_every: int = option(1, help="steps between two r1 and r2 penalties, scaled up by it", ge=1, le=64)
    gradient_penalty: float = option(
        0.0, help="weight of (|gradient| - 1)^2 between real and fake (WGAN-GP); 10 there", ge=0
    )
    clip_weights: float = option(
        0.0, help="largest absolute weight of the critic (WGAN); 0.01 there; 0: any", ge=0
    )
    critic_steps: int = option(1, help="steps of the critic for one of the generator", ge=1, le=100)
    augment: tuple[Literal["colour", "translation", "cutout"], ...] = option(
        (), help="vary what the critic sees, real and fake alike (DiffAugment)"
    )

    lr: float = option(2e-4, help="learning rate of the generator", gt=0)
    critic_lr: float | None = option(None, help="learning rate of the critic, if it is another", gt=0)
    beta1: float = option(0.5, help="of Adam", ge=0, lt=1)
    beta2: float = option(0.999, help="of Adam", ge=0, lt=1)
    ema: float = option(
        0.999,
        help="decay per step of the average of the generator's weights that is used; 0: none",
        ge=0,
        lt=1,
    )
    truncation: float = option(
        1.0, help="scale of the noise in use: less is more typical, with less variety", gt=0, le=2
    )
    paste: bool = option(
        True,
        help="of a generator of faces: put what it draws in the place of the face in the first photograph, if that is one",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> GanConfig:
        if self.most_channels is not None and self.most_channels < self.channels:
            raise ValueError(
                f"most_channels {self.most_channels} is below channels {self.channels}: raise it, or lower channels"
            )
        if self.mixed and self.condition == "none":
            raise ValueError("mixed needs a condition: class or instance")
        if self.label_smoothing and self.objective != "bce":
            raise ValueError("label smoothing belongs to the objective bce")
        if self.critic == "projected":
            of_own = ("label_smoothing", "gradient_penalty", "clip_weights", "spectral_norm")
            if asked := [name for name in of_own if getattr(self, name)]:
                raise ValueError(
                    f"{' and '.join(asked)} cannot go with critic projected, which has its own objective and norms: "
                    "set critic to own or both, or leave that out"
                )
        penalties = {"r1": self.r1, "r2": self.r2, "gradient_penalty": self.gradient_penalty}
        asked = [name for name, weight in penalties.items() if weight]
        if asked and self.critic_norm == "batch":
            # Batch norm makes an image's logit depend on the others: their gradients would be penalised with its own.
            raise ValueError(
                f"{' and '.join(asked)} cannot go with batch norm in the critic: set critic_norm to layer or none"
            )
        return self
