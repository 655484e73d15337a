"""What this package offers. It is read at every command, so it imports nothing heavy."""

from chimera_core.api import CheckSetup, ComponentSpec, Config, hookimpl

CHIMERA_API = 1


class QoiConfig(Config):
    """It has no options."""


@hookimpl
def chimera_image_readers() -> list[ComponentSpec]:
    """Offer one reader."""
    return [
        ComponentSpec(
            name="qoi",
            summary="QOI, the quite OK image format",
            target="chimera_qoi.reader:Qoi",
            config=QoiConfig,
            suffixes=(".qoi",),  # known without importing the reader: folders are listed by them
            check=CheckSetup(prepare="chimera_qoi.checking:write_pictures"),
        )
    ]
