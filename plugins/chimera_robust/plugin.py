"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, Preset, hookimpl
from chimera_robust.config import (
    FgsmConfig,
    FreeConfig,
    NFgsmConfig,
    PgdConfig,
    ReportFgsmConfig,
    StandardConfig,
    TradesConfig,
)

CHIMERA_API = 1

# Engstrom et al. 2019 (arXiv:1906.00945): features of encoders trained at small L2 radii are the human-like ones.
_FUSION = {"norm": "l2", "eps": 1.0, "steps": 3}
_FUSION_SUMMARY = "small L2 budget: features that fusion likes"
# More steps cost images, and minutes are what is short. An attacked image is hard enough without a second one in it.
_QUICK = Preset(
    "quick",
    "two steps, images neither mixed nor labels smoothed: for trainings of minutes",
    {"steps": 2},
    {"mix": "none", "label_smoothing": 0.0},
)


@hookimpl
def chimera_robustness_trainers() -> list[ComponentSpec]:
    """Offer ``standard``, ``fgsm``, ``n-fgsm``, ``pgd``, ``free``, ``trades`` and ``report-fgsm``."""
    return [
        ComponentSpec(
            name="standard",
            summary="train on the images as they are",
            target="chimera_robust.standard:Standard",
            config=StandardConfig,
        ),
        ComponentSpec(
            name="fgsm",
            summary="one step from a random start, watched for catastrophic overfitting (Wong 2020)",
            target="chimera_robust.single_step:FgsmTrainer",
            config=FgsmConfig,
        ),
        ComponentSpec(
            name="n-fgsm",
            summary="one step from strong noise, unclipped: as quick as fgsm and stable (de Jorge 2022)",
            target="chimera_robust.single_step:NFgsmTrainer",
            config=NFgsmConfig,
            check=CheckSetup(
                expected_failures={
                    "within-budget": "noise of twice the radius is added and not clipped: the method"
                }
            ),
        ),
        ComponentSpec(
            name="pgd",
            summary="several projected steps (Madry 2018)",
            target="chimera_robust.iterated:PgdTrainer",
            config=PgdConfig,
            presets=(Preset("fusion", _FUSION_SUMMARY, _FUSION), _QUICK),
        ),
        ComponentSpec(
            name="free",
            summary="attacks by the gradients of its own backward passes, each batch replayed (Shafahi 2019)",
            target="chimera_robust.free:FreeTrainer",
            config=FreeConfig,
        ),
        ComponentSpec(
            name="trades",
            summary="clean accuracy traded against agreement near each image (Zhang 2019)",
            target="chimera_robust.iterated:TradesTrainer",
            config=TradesConfig,
            presets=(Preset("fusion", _FUSION_SUMMARY, _FUSION), _QUICK),
        ),
        ComponentSpec(
            name="report-fgsm",
            summary="the first report's attack on normalised images, with its clamp that loses the dark half",
            target="chimera_robust.report:ReportFgsm",
            config=ReportFgsmConfig,
        ),
    ]
