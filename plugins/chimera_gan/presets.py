"""Presets of ``gan``: the reports' networks, the papers', and ours. Torch-free.

What the reports leave open is said at each preset, with what we chose.
"""

from __future__ import annotations

from typing import Any

from chimera_core.api import Preset

_REPORT_2: dict[str, Any] = {
    # Stated: strided convolutions, LeakyReLU in both networks, batch norm, tanh, label smoothing, dropout 0.5 in the
    # generator in training and in use, Adam as Radford et al. 2015 (2e-4, beta1 0.5), no condition.
    # Open, and chosen: noise 100 and batch norm in both networks (Radford), smoothing 0.1 (Salimans et al. 2016).
    "network": "dcgan",
    "noise": 100,
    "channels": 64,
    "generator_norm": "batch",
    "critic_norm": "batch",
    "activation": "leaky",
    "dropout": 0.5,
    "dropout_in_use": True,
    "condition": "none",
    "objective": "bce",
    "label_smoothing": 0.1,
    "lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "ema": 0.0,
}

REPORT_MNIST = Preset(
    "report-mnist",
    "second report: DCGAN on MNIST at 28 px, without a condition",
    _REPORT_2,
    {"size": 28, "batch": 128, "augment": "none"},  # batch open; digits are not mirrored
)

REPORT_CELEBA = Preset(
    "report-celeba",
    "second report: DCGAN on CelebA at 28 px, without a condition",
    _REPORT_2,
    {"size": 28, "batch": 128, "augment": "none"},
)

REPORT_PERSONDOG = Preset(
    "report-persondog",
    "second report: DCGAN on persons and dogs at 28 px, without a condition: chimeras are picked by eye",
    _REPORT_2,
    {"size": 28, "batch": 128, "augment": "none"},
)

REPORT_ZEBRA = Preset(
    "report-zebra",
    "first report: fully connected networks on noise and a CNN's features; 1.23 billion weights at 448 px",
    {
        # Stated: layers, LeakyReLU 0.2, BatchNorm1d, tanh, an unconditional critic, BCE with labels 1 and 0, Adam.
        # Open, and chosen: noise 100, 128 components of the features, Adam as in the second report.
        "network": "mlp",
        "noise": 100,
        "channels": 256,
        "generator_norm": "batch",
        "critic_norm": "none",
        "activation": "leaky",
        "condition": "instance",
        "components": 128,
        "balance": "condition",
        "projection": False,
        "objective": "bce",
        "lr": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
        "ema": 0.0,
    },
    {"size": 448, "batch": 16, "epochs": 445, "augment": "none"},
)

WGAN_CLIP = Preset(
    "wgan-clip",
    "Wasserstein critic by clipped weights (Arjovsky et al. 2017)",
    {
        # RMSprop there; Adam without momentum is that, with its beginning corrected.
        "network": "dcgan",
        "noise": 100,
        "generator_norm": "batch",
        "critic_norm": "batch",
        "objective": "wasserstein",
        "clip_weights": 0.01,
        "critic_steps": 5,
        "lr": 5e-5,
        "beta1": 0.0,
        "beta2": 0.99,
    },
    {"size": 64, "batch": 64},
)

WGAN_GP = Preset(
    "wgan-gp",
    "Wasserstein critic by a gradient penalty (Gulrajani et al. 2017): its estimate follows the quality of the pictures",
    {
        # No batch norm in the critic: the penalty is for each image by itself.
        "network": "dcgan",
        "noise": 128,
        "generator_norm": "batch",
        "critic_norm": "none",
        "objective": "wasserstein",
        "gradient_penalty": 10.0,
        "critic_steps": 5,
        "lr": 1e-4,
        "beta1": 0.0,
        "beta2": 0.9,
    },
    {"size": 64, "batch": 64},
)

_MODERN: dict[str, Any] = {
    "network": "dcgan",
    "noise": 64,
    "channels": 56,
    "generator_norm": "batch",
    "critic_norm": "none",
    "condition": "instance",
    "components": 128,
    "mixed": 0.5,
    "objective": "relativistic",
    "r1": 0.2,
    "r2": 0.2,
    "penalty_every": 8,
    "augment": ("colour", "translation", "cutout"),
    "lr": 2e-4,
    "beta1": 0.0,
    "beta2": 0.99,
    "ema": 0.999,
}

MODERN_64 = Preset(
    "modern-64",
    "ours: relativistic with R1 and R2, conditions from an encoder's features, half of each batch mixed",
    _MODERN,
    {"size": 64, "batch": 64},
)

MODERN_128 = Preset(
    "modern-128",
    "modern-64 at 128 px: a step takes three times as long",
    # Widths are 48, 96, 192, 384, 384: a fifth stage twice as wide as the fourth would hold more than all others.
    _MODERN | {"channels": 48, "most_channels": 384},
    {"size": 128, "batch": 64},
)

GROWN_128 = Preset(
    "grown-128",
    "a generator of modern-64 grown to 128 px, by a critic on a frozen network's features: --init-from person-cat",
    # Features of photographs judge at once; a critic of pixels would have to learn first, and a step would take twice as long.
    _MODERN
    | {
        "grown": True,
        "grown_alone": 5000,
        "grown_after": 5400,
        "grown_rate": 0.15,
        "grown_restore": 30.0,
        "critic": "projected",
        "critic_pixels": True,
        "critic_lr": 4e-4,
        "r1": 0.0,
        "r2": 0.0,
        "penalty_every": 1,
        "augment": ("colour", "translation"),
        "lr": 4e-4,
        "ema": 0.998,
    },
    {"size": 128, "batch": 16},
)

PRESETS = (
    REPORT_ZEBRA,
    REPORT_MNIST,
    REPORT_CELEBA,
    REPORT_PERSONDOG,
    WGAN_CLIP,
    WGAN_GP,
    MODERN_64,
    MODERN_128,
    GROWN_128,
)
