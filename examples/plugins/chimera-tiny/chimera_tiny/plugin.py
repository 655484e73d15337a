"""What this package offers. It is read at every command, so it imports nothing heavy."""

from pathlib import Path

from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class TinyConfig(Config):
    """Options: each becomes a flag."""

    width: int = option(8, help="channels of the first level", ge=1, le=256)
    classes: int = option(10, help="number of classes", ge=2)
    seed: int = option(0, help="of the random weights", ge=0)
    weights: Path | None = option(None, help="a .safetensors or .pth file")


@hookimpl
def chimera_feature_encoders() -> list[ComponentSpec]:
    """Offer one encoder."""
    return [
        ComponentSpec(
            name="tiny",
            summary="three small convolutions",
            target="chimera_tiny.encoder:Tiny",
            config=TinyConfig,
        )
    ]
