"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, Preset, hookimpl
from chimera_morph.config import MorphConfig

CHIMERA_API = 1

# Features that attacks do not move are those that people see, so the change may be larger, and the encoder's deeper
# views count less beside its textures and the others' colours. Chosen by eye on the twelve pairs of docs/results/pairs.md.
ROBUST_MORPH = Preset(
    "robust-morph",
    "in the features of the robust encoder that comes along: forms and markings instead of noise",
    {
        "encoder": {"name": "robust-lite0"},
        "budget": 42.0,
        "rate": 0.05,
        "iterations": 60,
        "texture_weight": 20.0,
        "colour_weight": 20.0,
        "embedding_weight": 0.7,
    },
)


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``feature-morph``."""
    return [
        ComponentSpec(
            name="feature-morph",
            summary="the first photograph's animal, moved toward the others in an encoder's features",
            target="chimera_morph.fuser:FeatureMorph",
            config=MorphConfig,
            presets=(ROBUST_MORPH,),
            check=CheckSetup(options={"iterations": 3}, parents=("astronaut", "cat")),
        )
    ]
