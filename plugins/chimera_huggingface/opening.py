"""Open what lies on the disk with the ``datasets`` library: no network, no code of a data set's, no pickle."""

from __future__ import annotations

import logging
import os
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
            home = os.path.abspath(path)
            _check_card(Path(home))
            builder = datasets.load_dataset_builder(home, config or None, cache_dir=cache)
            check_builder(builder, home, within=home + os.sep)
            builder.download_and_prepare()
            found = builder.as_dataset()
    if isinstance(found, datasets.Dataset):
        return {str(found.split or "all"): found}
    return {str(split): one for split, one in found.items()}


def check_builder(builder: Any, where: str, *, within: str) -> None:
    """Refuse what the library would read in another way than the few that hold pictures, or from elsewhere.

    Args:
        builder: of the library.
        where: the data set lies, for the message.
        within: how the names of all its files begin. Its card may name any file of this machine, or an address.
    Raises:
        DataError: naming the way, or the file.
    """
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in BUILDERS:
        raise DataError(
            f"{where} is read by the library's '{kind}', which is not used here: images come from {', '.join(BUILDERS)}"
        )
    for file in (str(f) for some in (builder.config.data_files or {}).values() for f in some):
        if not (file if "://" in file else os.path.abspath(file)).startswith(within) or "/../" in file:
            raise _elsewhere(where, file)


def _check_card(folder: Path) -> None:
    """Refuse a card whose files lie elsewhere, before the library asks an address for them."""
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    named: list[Any] = []
    if (folder / "README.md").is_file():
        named.append(MetadataConfigs.from_dataset_card_data(DatasetCard.load(folder / "README.md").data))
    if (folder / ".huggingface.yaml").is_file():
        import yaml

        named.append(yaml.safe_load((folder / ".huggingface.yaml").read_text(encoding="utf-8")))
    for word in _words_of(named):
        if "://" in word or os.path.isabs(word) or ".." in Path(word).parts:
            raise _elsewhere(str(folder), word)


def _words_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in ("configs", "data_files", "data_dir", "path"):
            yield from _words_of(value.get(key))
        for inner in value.values():
            if isinstance(inner, Mapping):
                yield from _words_of(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _words_of(inner)


def _elsewhere(where: str, file: str) -> DataError:
    return DataError(
        f"{where} names '{one_line(file, limit=100)}', which lies outside of it and is not read: leave it out of its card"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the bars of the library and of the hub's, and the remarks, off the terminal, where our own bar may be."""
    import datasets
    from huggingface_hub import utils as hub

    log = logging.getLogger("datasets")
    level, shown = (
        log.level,
        [each for each in (datasets.utils, hub) if not each.are_progress_bars_disabled()],
    )
    for each in shown:
        each.disable_progress_bars()
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        for each in shown:
            each.enable_progress_bars()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # the library's border: of damaged files it raises nearly everything
        reason = one_line(f"{type(error).__name__}: {error}", limit=240)
        raise DataError(f"'{path}' cannot be read as a data set ({reason}): get or write it anew") from error
