"""A stranger's plugin: stripes of one parent on another. It imports the API and nothing else of Chimera."""

from typing import Literal

from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class StripesConfig(Config):
    """How the stripes run."""

    stripes: int = option(8, help="how many stripes", ge=2, le=64)
    direction: Literal["across", "down"] = option("across", help="which way the stripes run")


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``stripes``."""
    return [
        ComponentSpec(
            name="stripes",
            summary="stripes of the parents in turn",
            target="chimera_stripes.fuser:Stripes",
            config=StripesConfig,
        )
    ]
