"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, Preset, hookimpl
from chimera_gan.config import GanConfig
from chimera_gan.cyclegan_config import CYCLEGAN_64, CYCLEGAN_64_TRAINING, CycleGanConfig
from chimera_gan.presets import PRESETS

CHIMERA_API = 1


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``gan`` and ``cyclegan``."""
    return [
        ComponentSpec(
            name="gan",
            summary="a generator trained against a critic; parents are its conditions, and fusing mixes them",
            target="chimera_gan.gan_fuser:GanFuser",
            config=GanConfig,
            presets=PRESETS,
            check=CheckSetup(options={"channels": 8, "noise": 16}, size=32),
        ),
        ComponentSpec(
            name="cyclegan",
            summary="the first parent, translated part of the way into the second one's class (Zhu et al. 2017)",
            target="chimera_gan.cyclegan_fuser:CycleGan",
            config=CycleGanConfig,
            presets=(Preset("cyclegan-64", "two classes at 64 pixels", CYCLEGAN_64, CYCLEGAN_64_TRAINING),),
            check=CheckSetup(options={"width": 4, "blocks": 1, "critic_width": 4, "pool": 4}, size=32),
        ),
    ]
