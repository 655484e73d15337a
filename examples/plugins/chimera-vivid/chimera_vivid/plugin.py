"""What this package offers. It is read at every command, so it imports nothing heavy."""

from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class VividConfig(Config):
    """Options; users set them in their registry file."""

    colour: bool = option(False, help="measure each channel, not brightness alone")


@hookimpl
def chimera_metrics() -> list[ComponentSpec]:
    """Offer one metric."""
    return [
        ComponentSpec(
            name="vivid",
            summary="how much of its parents' contrast a creature keeps",
            target="chimera_vivid.metric:Vivid",
            config=VividConfig,
        )
    ]
