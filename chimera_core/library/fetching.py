"""Pictures from the network into the library, only when a user asks for them, with their terms."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.errors import ConfigError, DataError, PluginError
from chimera_core.files.atomic import leads_out, one_line, quote
from chimera_core.files.locks import hold
from chimera_core.files.own_folders import make_folder, remove_tree
from chimera_core.files.tables import plain_cell
from chimera_core.files.text import read_text
from chimera_core.library.folder import Library
from chimera_core.library.matching import plain_name
from chimera_core.library.records import PictureRecord

if TYPE_CHECKING:
    from chimera_core.plugins.discovery import PluginHost

SOURCE = "inaturalist"
"""The dataset source that pictures are fetched through."""
MANIFEST = "attribution.csv"
"""What it leaves in its folder: file, licence, attribution, source_url of every picture, and more."""
DEFAULT_COUNT = 5
FETCHING = ".fetching"
"""Where pictures wait until all of them are here."""
_MOST_ROWS = 100_000

_log = logging.getLogger(__name__)


def fetch_into_library(
    name: str,
    *,
    host: PluginHost | None = None,
    count: int = DEFAULT_COUNT,
    progress: Callable[[float, float], None] | None = None,
) -> list[Path]:
    """Fetch pictures of an animal and add them to the library under this name.

    What came before an interruption waits in ``.fetching`` inside the library, and the next call goes on with it. One
    process at a time: another one waits.

    Args:
        host: knows the source; its settings say where the library lies. The installed plugins when None.
        count: how many pictures, 1 or more.
        progress: called with (done, total) in bytes.
    Returns:
        The new pictures.
    Raises:
        ConfigError: if the name is none, a link lies in its place, or the source refuses its options.
        DataError: if no picture came that can be read and whose licence is known.
        PluginError: if the source is not installed.
        RunError: if the network or the disk failed.
    """
    from chimera_core.components.choice import choose
    from chimera_core.plugins.discovery import default_host

    host = host or default_host()
    plain = plain_name(name)
    library = Library(host.settings.path("library"))
    library.check_folder(plain)
    scratch = library.root / FETCHING / plain
    for folder in (scratch.parent, scratch):
        if folder.is_symlink():
            raise ConfigError(f"{quote(folder)} is a link, and would lead out of the library: remove it")
    options = {"taxa": plain.replace("_", " "), "per_class": count, "root": str(scratch)}
    try:
        chosen = choose(host, "dataset-source", SOURCE, options)
    except PluginError as error:
        raise PluginError(f"nothing can be fetched without the data set {SOURCE}: {error}") from None
    source: Any = chosen.component.load_class()
    with _alone(library):
        source.download(chosen.config, progress=progress or (lambda done, total: None))
        added = []
        for picture, record in _listed(scratch):
            try:
                added.append(library.add(plain, picture, record))
            except DataError as error:
                _log.warning("left out: %s", error)
        if not added:
            raise DataError(
                f"{SOURCE} has no free picture of {quote(name)} that can be read: try another name"
            )
        remove_tree(scratch, within=library.root)
    return added


@contextmanager
def _alone(library: Library) -> Iterator[None]:
    """Wait until no other process fetches into a library: it would be asked for twice, and cleared away under one's hands."""
    folder = make_folder(library.root / FETCHING, within=library.root, mend="set CHIMERA_LIBRARY")
    with hold(folder / ".lock", what="the library", work="filled", wait=True, on_wait=_log.warning):
        yield


def _listed(root: Path) -> Iterator[tuple[Path, PictureRecord]]:
    """Go through the pictures that the manifest lists; what it names outside the folder is left out.

    Raises:
        DataError: if there is no manifest, or it cannot be read.
    """
    try:
        file = io.StringIO(read_text(root / MANIFEST), newline="")
        rows = [row for row, _ in zip(csv.DictReader(file), range(_MOST_ROWS), strict=False)]
    except (OSError, DataError, csv.Error) as error:
        raise DataError(
            f"{SOURCE} left no {MANIFEST} that can be read ({one_line(error, limit=120)}), so the pictures' terms "
            "are not known: fetch them again"
        ) from None
    for row in rows:
        values = {
            key: one_line(plain_cell(value)) for key, value in row.items() if key and isinstance(value, str)
        }
        picture = root / values.get("file", "")
        if not values.get("licence") or not picture.is_file() or leads_out(picture, root):
            _log.warning("left out: %s has no licence or no file", quote(values.get("file", "")))
            continue
        yield (
            picture,
            PictureRecord(
                licence=values["licence"],
                attribution=values.get("attribution", ""),
                source=values.get("source_url") or values.get("photo_url", ""),
                original=picture.name,
            ),
        )
