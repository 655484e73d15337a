"""What this package offers. It is read at every command, so it imports nothing heavy."""

from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class ShapesConfig(Config):
    """Options: each becomes a flag."""

    images: int = option(20, help="images in each split", ge=1, le=100_000)
    side: int = option(64, help="side of an image in pixels", ge=16, le=512)
    splits: tuple[str, ...] = option(("train", "test"), help="names of the splits")


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer one source."""
    return [
        ComponentSpec(
            name="shapes",
            summary="discs and squares, by day and by night",
            target="chimera_shapes.source:Shapes",
            config=ShapesConfig,
            licence="CC0-1.0",
        )
    ]
