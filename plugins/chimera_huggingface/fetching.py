"""Bring a data set of the hub: whole, or so many images of its stream. The only module here that uses the network."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from chimera_core.api import (
    ChimeraError,
    ConfigError,
    DataError,
    RunError,
    check_may_download,
    hub_reason,
    make_folder,
    move,
    one_line,
    remove_tree,
    work_alone,
)
from chimera_huggingface.columns import find_columns
from chimera_huggingface.config import HuggingFaceConfig
from chimera_huggingface.copies import RECORD, Record, family_of, note_latest, write_record
from chimera_huggingface.opening import check_builder, quiet

_BUFFER = 1000  # images of a stream that are shuffled at a time: sets are often sorted by class
_LOOK_S = 1.0


def bring(config: HuggingFaceConfig, *, progress: Callable[[float, float], None]) -> None:
    """Bring the asked revision, unless its copy is here.

    Args:
        config: of the source.
        progress: called with (done, total), in images of a stream, else in bytes of the files that come.
    Raises:
        ConfigError: if there is nothing to bring, or the data set has no such configuration.
        RunError: if the hub does not give it.
    """
    if not config.name:
        raise ConfigError("only a data set of the hub is downloaded: give its --name owner/name")
    check_may_download(f"the data set {config.name}")
    family = make_folder(family_of(config), mend="name another --root")
    with work_alone(family / "copy"), _asking(config.name):
        known = _ask(config)
        folder = family / known.commit
        if not (folder / RECORD).is_file():
            part = family / ".part"
            remove_tree(part, within=family)  # of one that was killed: this one is alone
            _bring_into(make_folder(part, within=family), config, known, progress)
            remove_tree(folder, within=family)
            move(part / "copy", folder, within=family)
            remove_tree(part, within=family)
        note_latest(config, known.commit)


def _ask(config: HuggingFaceConfig) -> Record:
    """Ask the hub which commit a revision is now, and what its card says."""
    from huggingface_hub import HfApi, constants

    found = HfApi().dataset_info(config.name, revision=config.revision or None, timeout=30)
    card = found.card_data
    licence = getattr(card, "license", None) or ""
    return Record(
        name=config.name,
        config=config.config,
        commit=str(found.sha),
        licence=", ".join(map(str, licence)) if isinstance(licence, list) else str(licence),
        citation=str(getattr(found, "citation", None) or ""),
        home_page=f"{constants.ENDPOINT}/datasets/{config.name}",
    )


def _bring_into(
    part: Path, config: HuggingFaceConfig, known: Record, progress: Callable[[float, float], None]
) -> None:
    """Make ``part/copy`` from the hub's files; what they need on the way lies in ``part``, too."""
    import datasets

    cache = str(part / "cache")
    # Its bars would cross ours, and go where no terminal is.
    with quiet():
        builder = datasets.load_dataset_builder(
            config.name,
            config.config or None,
            revision=known.commit,
            cache_dir=cache,
            download_config=datasets.DownloadConfig(cache_dir=cache),
        )
        within = f"hf://datasets/{config.name}@{known.commit}/"
        check_builder(builder, config.name, within=within)
        is_files = type(builder).__module__.endswith(".imagefolder")
        if config.stream:
            tables = {
                str(split): _take(
                    _encoded(stream, config, is_files=is_files), config.stream, part / f"stream-{k}", progress
                )
                for k, (split, stream) in enumerate(builder.as_streaming_dataset().items())
            }
        else:
            files = [str(f) for some in builder.config.data_files.values() for f in some]
            with _watched(config.name, known.commit, [f.removeprefix(within) for f in files], progress):
                builder.download_and_prepare(download_config=datasets.DownloadConfig(cache_dir=cache))
            whole = builder.as_dataset().items()
            tables = {str(split): _encoded(table, config, is_files=is_files) for split, table in whole}
        datasets.DatasetDict(tables).save_to_disk(str(part / "copy"))
    write_record(
        part / "copy",
        replace(
            known,
            licence=known.licence or str(builder.info.license or ""),
            citation=known.citation or str(builder.info.citation or ""),
        ),
    )


def _encoded(table: Any, config: HuggingFaceConfig, *, is_files: bool) -> Any:
    """Leave images encoded, and other columns than those of classes behind.

    Args:
        table: one split, whole or a stream.
        config: of the source.
        is_files: the images are files of their own, which the library puts into the copy. Of other tables a row may name
            any file of this machine, or an address: as plain bytes and words they are copied and never followed.
    """
    from datasets import Image, Value

    columns = find_columns(table.features, image=config.image, label="none")
    if isinstance(table.features[columns.image], Image):
        plain = Image(decode=False) if is_files else {"bytes": Value("binary"), "path": Value("string")}
        table = table.cast_column(columns.image, plain)
    kept = [
        name
        for name, feature in table.features.items()
        if name == columns.image or type(feature).__name__ in _KEPT
    ]
    return table.select_columns(kept)


_KEPT = ("ClassLabel", "Value")


def _take(stream: Any, count: int, folder: Path, progress: Callable[[float, float], None]) -> Any:
    """Keep the first images of a shuffled stream, as a table."""
    import datasets

    make_folder(folder, within=folder.parent)
    path = str(folder / "rows.arrow")
    writer = datasets.arrow_writer.ArrowWriter(path=path, features=stream.features)
    for done, row in enumerate(stream.shuffle(seed=0, buffer_size=_BUFFER).take(count), 1):
        writer.write(row)
        progress(done, count)
    writer.finalize()
    return datasets.Dataset.from_file(path)


@contextmanager
def _watched(
    name: str, commit: str, files: Sequence[str], progress: Callable[[float, float], None]
) -> Iterator[None]:
    """Report how much of a data set's files has come into the library's own cache while the block runs."""
    from huggingface_hub import HfApi, constants

    info = HfApi().dataset_info(name, revision=commit, files_metadata=True, timeout=30)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    total = sum(sizes.get(file, 0) for file in files)
    blobs = Path(constants.HF_HUB_CACHE, f"datasets--{name.replace('/', '--')}", "blobs")
    before, is_over = _bytes_in(blobs), threading.Event()

    def watch() -> None:
        while not is_over.wait(_LOOK_S):
            if total:
                # The whole is reported when all is there.
                progress(max(0, min(_bytes_in(blobs) - before, total - 1)), total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    progress(total, total)


def _bytes_in(folder: Path) -> int:
    """Count the bytes of a folder's files; one that is renamed meanwhile may be missed."""
    count = 0
    with suppress(OSError):
        for file in os.scandir(folder):
            with suppress(OSError):
                count += file.stat().st_size
    return count


@contextmanager
def _asking(name: str) -> Iterator[None]:
    """Turn what the hub or the network refuses into one line with the mend."""
    try:
        yield
    except ChimeraError:
        raise
    except (
        Exception
    ) as error:  # the library's border: it has errors of its own, httpx's, fsspec's and the disk's
        if isinstance(error, ValueError) and "BuilderConfig" in str(error):
            raise ConfigError(f"{name}: {one_line(error, limit=240)}: choose one with --config") from error
        if isinstance(error, ValueError):  # of what lies there, not of the network
            raise DataError(f"{name} cannot be read as a data set ({one_line(error, limit=240)})") from error
        raise RunError(f"cannot download {name} ({hub_reason(error)})") from error
