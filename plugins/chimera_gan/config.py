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
    noise: int = option(128, help="dimension of the generator's noise vector", ge=1, le=4096)
    channels: int = option(64, help="base number of channels of both networks", ge=4, le=512)
    most_channels: int | None = option(
        None, help="largest number of channels of a layer; not given: no limit", ge=4, le=8192
    )
    generator_norm: Literal["batch", "none"] = option("batch", help="normalisation in the generator")
    critic_norm: Literal["batch", "layer", "none"] = option("none", help="normalisation in the critic")
    activation: Literal["relu", "leaky"] = option(
        "relu", help="activation of the generator; the critic's is always leaky ReLU"
    )
    dropout: float = option(0.0, help="dropout probability in the generator", ge=0, lt=1)
    dropout_in_use: bool = option(False, help="keep dropout on when generating")
    spectral_norm: bool = option(False, help="spectral normalisation of the critic (Miyato 2018)")
    critic: Literal["own", "projected", "both"] = option(
        "own",
        help="own: a critic of pixels; projected: small critics on a frozen network's features, with hinge loss and without the "
        "own critic's norms, objective and penalties (Sauer 2021); both: both",
    )
    critic_encoder: EncoderRef = option(
        EncoderRef(name=TIMM),
        help="for critic projected or both: the frozen network, or a run of one",
    )
    critic_encoder_size: int = option(128, help="input size of that network in pixels", ge=16, le=512)
    critic_pixels: bool = option(
        False,
        help="for critic projected or both: add a critic of pixel patches, against dots and stripes that features hardly show",
    )

    grown: bool = option(
        False,
        help="start from a trained generator of half the size (--init-from), and add a stage that doubles it",
    )
    grown_alone: int = option(
        0,
        help="number of images during which the new stage only learns to upscale photographs, before any critic judges",
        ge=0,
    )
    grown_after: int = option(0, help="number of images after which the old layers are trained, too", ge=0)
    grown_rate: float = option(0.25, help="learning-rate factor of the old layers", ge=0, le=1)
    grown_restore: float = option(
        10.0,
        help="weight of the L1 error of photographs that were downscaled and upscaled again by the new stage",
        ge=0,
    )
    grown_keep: float = option(
        10.0,
        help="weight of the L1 distance between the downscaled picture and that of the old generator",
        ge=0,
    )

    condition: Literal["none", "class", "instance"] = option(
        "class", help="what the generator is conditioned on: nothing, a class, or the features of an image"
    )
    encoder: EncoderRef = option(
        EncoderRef(name=TIMM),
        help="network, or run of one, whose features are the condition (condition instance)",
    )
    encoder_size: int = option(128, help="input size of that network in pixels", ge=16, le=512)
    components: int = option(
        128, help="number of principal components of its features to keep", ge=1, le=2048
    )
    bank: int = option(
        256, help="images per class whose features are stored, for class names as parents", ge=1, le=65536
    )
    balance: Literal["seen", "condition"] = option(
        "seen",
        help="for condition instance, what equal weights mean. seen: the encoder finds as much of each parent in the "
        "creature; condition: equal shares of the conditions",
    )
    projection: bool = option(True, help="condition the critic by projection (Miyato and Koyama 2018)")
    mixed: float = option(
        0.0,
        help="share of each batch generated from mixed conditions, which only the unconditional part "
        "of the critic sees",
        ge=0,
        le=1,
    )

    probe: EncoderRef = option(
        EncoderRef(name=TIMM),
        help="for condition none: network, or run of one, whose features distinguish classes and compare photographs",
    )
    probe_size: int = option(64, help="input size of that network in pixels", ge=16, le=512)
    probe_samples: int = option(
        1024, help="for condition none: number of samples to search for each class", ge=16, le=65536
    )
    spread: float = option(
        0.5,
        help="for condition none: how far to go from a class's mean latent to a seed's noise; more: more variety, less "
        "of the class",
        gt=0,
        lt=1,
    )
    inversion_steps: int = option(
        200, help="for condition none: optimiser steps to invert a photograph", ge=1, le=10000
    )

    objective: Objective = option("relativistic", help="adversarial loss")
    label_smoothing: float = option(
        0.0, help="for bce: one-sided label smoothing of real images", ge=0, lt=0.5
    )
    r1: float = option(0.0, help="weight of R1: the critic's squared gradient at real images", ge=0)
    r2: float = option(0.0, help="weight of R2: the critic's squared gradient at generated images", ge=0)
    penalty_every: int = option(
        1, help="apply r1 and r2 every so many steps, scaled accordingly (lazy regularisation)", ge=1, le=64
    )
    gradient_penalty: float = option(
        0.0, help="weight of the WGAN-GP gradient penalty; 10 in the paper", ge=0
    )
    clip_weights: float = option(
        0.0,
        help="clip the critic's weights to this absolute value (WGAN; 0.01 in the paper); 0: no clipping",
        ge=0,
    )
    critic_steps: int = option(1, help="critic steps per generator step", ge=1, le=100)
    augment: tuple[Literal["colour", "translation", "cutout"], ...] = option(
        (), help="differentiable augmentation of what the critic sees, real and generated (DiffAugment)"
    )

    lr: float = option(2e-4, help="learning rate of the generator", gt=0)
    critic_lr: float | None = option(
        None, help="learning rate of the critic; not given: that of the generator", gt=0
    )
    beta1: float = option(0.5, help="Adam's first beta", ge=0, lt=1)
    beta2: float = option(0.999, help="Adam's second beta", ge=0, lt=1)
    ema: float = option(
        0.999,
        help="decay per step of the moving average (EMA) of the generator's weights, which is what is used; 0: none",
        ge=0,
        lt=1,
    )
    truncation: float = option(
        1.0,
        help="scale of the noise when generating; less gives more typical creatures with less variety",
        gt=0,
        le=2,
    )
    paste: bool = option(
        True,
        help="generators of faces: paste the creature over the face of the first photograph",
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
