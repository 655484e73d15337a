"""What this package offers. It is read at every command, so it imports nothing heavy."""

from chimera_core.api import ComponentSpec, Config, Preset, hookimpl, option

CHIMERA_API = 1


class CvaeConfig(Config):
    """Options: each becomes a flag."""

    codes: int = option(16, help="numbers in the code of an image", ge=1, le=512)
    width: int = option(32, help="channels of the finest layer", ge=4, le=256)
    kl: float = option(0.002, help="how strongly codes are drawn to a normal distribution", ge=0)
    lr: float = option(0.002, help="learning rate", gt=0, le=1)
    decay: float = option(0.999, help="of the average of the decoder's weights", ge=0, lt=1)


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer one fuser that learns."""
    return [
        ComponentSpec(
            name="cvae",
            summary="variational autoencoder of classes, whose shares are mixed",
            target="chimera_cvae.fuser:Cvae",
            config=CvaeConfig,
            presets=(
                # Options of the fuser, and beside them those of its training.
                Preset(
                    "sketch",
                    "32 pixels, in minutes on a CPU",
                    {"width": 16},
                    {"size": 32, "batch": 32, "images": 20_000},
                ),
            ),
        )
    ]
