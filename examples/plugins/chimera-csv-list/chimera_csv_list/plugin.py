"""What this package offers. It is read at every command, so it imports nothing heavy."""

from pathlib import Path

from chimera_core.api import CheckSetup, ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class CsvListConfig(Config):
    """Options: each becomes a flag."""

    root: Path = option(..., help="folder of images.csv and of the images that it names")


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer one source."""
    return [
        ComponentSpec(
            name="csv-list",
            summary="images that a table names, with class and split",
            target="chimera_csv_list.source:CsvList",
            config=CsvListConfig,
            # Without data it cannot be checked: this writes a few, and gives the option that names them.
            check=CheckSetup(prepare="chimera_csv_list.checking:prepare"),
        )
    ]
