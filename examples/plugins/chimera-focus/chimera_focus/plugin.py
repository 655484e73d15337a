"""What this package offers. It is read at every command, so it imports nothing heavy."""

from chimera_core.api import ComponentSpec, Config, EncoderRef, hookimpl, option

CHIMERA_API = 1


class FocusConfig(Config):
    """Options: each becomes a flag."""

    encoder: EncoderRef = option(EncoderRef(name="timm"), help="network that looks at the parents")
    level: int = option(1, help="which of its levels", ge=0)


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer one fuser."""
    return [
        ComponentSpec(
            name="focus",
            summary="the busier parent, spot by spot",
            target="chimera_focus.fuser:Focus",
            config=FocusConfig,
        )
    ]
