"""Open what lies on the disk with the ``datasets`` library: no network, no code of a data set's, no pickle."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chimera_core.api import DataError, MissingDataError, default_data_root, describe_folder, one_line

BUILDERS = ("parquet", "imagefolder", "arrow", "webdataset")
"""What is read. The library reads tables, text and more, too; none of these hold pictures."""


def open_folder(path: Path, config: str) -> Mapping[str, Any]:
    """Open a folder or a parquet file as a ``Dataset`` for each split.

    Args:
        path: a folder of ``save_to_disk``, of parquet files, or of images by class; or a parquet file.
        config: which configuration of a folder that names several.
    Raises:
        MissingDataError: if there is nothing.
        DataError: if it cannot be read.
    """
    import datasets

    if not path.exists():
        raise MissingDataError(f"'{path}' does not exist: name a folder or a .parquet file with --path")
    cache = str(default_data_root("huggingface") / "converted")
    with quiet(), _reading(path):
        if path.is_file():
            if path.suffix.lower() != ".parquet":
                raise DataError(f"'{path}' is no .parquet file: name one, or a folder")
            return {"all": datasets.Dataset.from_parquet(str(path), cache_dir=cache)}
        if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(path))
        elif not any(path.iterdir()):
            raise MissingDataError(f"'{path}' holds no data set ({describe_folder(path)})")
        else:
            builder = datasets.load_dataset_builder(str(path), config or None, cache_dir=cache)
            check_builder(builder, str(path))
            builder.download_and_prepare()
            found = builder.as_dataset()
    if isinstance(found, datasets.Dataset):
        return {str(found.split or "all"): found}
    return {str(split): one for split, one in found.items()}


def check_builder(builder: Any, where: str) -> None:
    """Refuse what the library would read in another way than the few that hold pictures.

    Raises:
        DataError: naming the way.
    """
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in BUILDERS:
        raise DataError(
            f"{where} is read by the library's '{kind}', which is not used here: images come from {', '.join(BUILDERS)}"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's bars and remarks off the terminal."""
    import datasets

    log = logging.getLogger("datasets")
    level, hidden = log.level, datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        if not hidden:
            datasets.enable_progress_bars()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # the library's border: of damaged files it raises nearly everything
        reason = one_line(f"{type(error).__name__}: {error}", limit=240)
        raise DataError(f"'{path}' cannot be read as a data set ({reason}): get or write it anew") from error
