"""What this package offers. It is read at every command, so it imports nothing heavy."""

from typing import Literal

from chimera_core.api import ComponentSpec, Config, Preset, hookimpl, option

CHIMERA_API = 1


class DissolveConfig(Config):
    """Options: each becomes a flag."""

    cells: int = option(32, help="cells along each side", ge=2, le=256)
    edges: Literal["soft", "hard"] = option("soft", help="how cells meet")


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer one fuser."""
    return [
        ComponentSpec(
            name="dissolve",
            summary="each cell from one parent, by lot",
            target="chimera_dissolve.fuser:Dissolve",
            config=DissolveConfig,
            presets=(Preset("mosaic", "few cells, hard edges", {"cells": 8, "edges": "hard"}),),
        )
    ]
