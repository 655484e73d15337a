"""Collections: pictures by name that other packages leave on the machine."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.images.folders import is_picture_name, is_system_folder
from chimera_core.library.folder import Library
from chimera_core.library.matching import plain_name
from chimera_core.library.records import LONGEST, PictureRecord

if TYPE_CHECKING:
    from chimera_core.plugins.discovery import PluginHost
    from chimera_core.plugins.entries import CollectionEntry

MAX_FILES = 50_000
"""Files and folders of a collection that are looked at: a registry may name a whole disk by mistake."""
_DRAWN = {"cartoon", "cartoons", "toy", "toys", "plastic"}


class Place(Protocol):
    """Where names are looked up: the library, or a collection."""

    @property
    def key(self) -> str:
        """As machine output names it: ``library``, ``tuxpaint``."""

    @property
    def title(self) -> str:
        """As messages name it."""

    def pictures(self) -> Mapping[str, Sequence[Path]]:
        """List the pictures of every name."""

    def record(self, picture: Path) -> PictureRecord:
        """Give the terms and the origin of a picture."""

    def mask(self, picture: Path) -> Path | None:
        """Give the mask of a picture that was drawn by hand; None: the animal is found."""


def places(host: PluginHost) -> list[Place]:
    """List where names are looked up, in order: the library, the registry's collections, scikit-image's pictures."""
    listed = [FolderCollection(key, entry) for key, entry in host.registry.collections.items()]
    return [Library(host.settings.path("library")), *listed, ShippedPictures()]


class FolderCollection:
    """Folders of pictures whose file names say what they show, as Tux Paint lays out its stamps.

    ``horse.png``, ``lion-2.png`` (a second lion), ``tiger_sumatran.png``; beside each may lie ``horse.txt``, whose
    first line describes it. Drawings (folders ``cartoon`` and ``toys``) count only where there is no photograph;
    ``*_mirror.png`` not at all, nor SVG, which is not read.

    Args:
        key: its name in the registry.
        entry: what the registry says about it.
    """

    def __init__(self, key: str, entry: CollectionEntry) -> None:
        self.key, self.entry = key, entry
        self.title = entry.title or key

    def pictures(self) -> dict[str, list[Path]]:
        """List the pictures of every name; a name is taken from the first of the folders that has it."""
        found: dict[str, list[Path]] = {}
        for folder in self._folders():
            photographs: dict[str, list[Path]] = {}
            drawings: dict[str, list[Path]] = {}
            for file in _walk(folder):
                with suppress(ConfigError):
                    drawn = not _DRAWN.isdisjoint(file.relative_to(folder).parts)
                    (drawings if drawn else photographs).setdefault(_name_of(file.stem), []).append(file)
            found = drawings | photographs | found
        return {name: sorted(found[name]) for name in sorted(found)}

    def record(self, picture: Path) -> PictureRecord:
        """Give the collection's terms, with the description that lies beside the picture."""
        described = _first_line(picture.with_suffix(".txt"))
        attribution = ": ".join(filter(None, (self.entry.attribution, described)))
        return PictureRecord(self.entry.licence, attribution, self.entry.home_page, picture.name)

    def mask(self, picture: Path) -> Path | None:
        """Give none: cut-outs have an alpha channel."""
        return None

    def _folders(self) -> list[Path]:
        roots = [Path(os.path.expanduser(folder)) for folder in self.entry.folders]
        return [root / part for part in self.entry.parts or ("",) for root in roots]


class ShippedPictures:
    """The photographs of scikit-image's wheel that show a whole creature: so two names work after every install."""

    key, title = "scikit-image", "scikit-image"

    def pictures(self) -> dict[str, list[Path]]:
        """List the pictures that are there; scikit-image is not imported."""
        spec = importlib.util.find_spec("skimage")
        folder = Path(str(spec.origin)).parent / "data" if spec else Path()
        return {name: [folder / file] for name, (file, _) in _SHIPPED.items() if (folder / file).is_file()}

    def record(self, picture: Path) -> PictureRecord:
        """Give the terms as scikit-image's documentation states them."""
        return next(record for file, record in _SHIPPED.values() if file == picture.name)

    def mask(self, picture: Path) -> Path | None:
        """Give the outline of the cat's head, from ears to neck: its face fills the frame."""
        mask = Path(__file__).parent / "masks" / picture.name
        return mask if mask.is_file() else None


_SHIPPED = {
    "astronaut": (
        "astronaut.png",
        PictureRecord(
            "public domain", "Eileen Collins, photograph by NASA", "https://flic.kr/p/r9qvLn", "astronaut.png"
        ),
    ),
    "cat": (
        "chelsea.png",
        PictureRecord(
            "CC0-1.0",
            "Chelsea the cat, photograph by Stefan van der Walt",
            "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.chelsea",
            "chelsea.png",
        ),
    ),
}


def _name_of(stem: str) -> str:
    """Make a name of a file's: ``lion-2`` a lion, ``dinosaurSings`` a dinosaur_sings.

    Raises:
        ConfigError: if nothing is left that has letters.
    """
    name = plain_name(re.sub(r"[\s_-]*\d+$", "", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", stem)))
    if len(name) < 2 or name.endswith("_mirror"):
        raise ConfigError(f"{name} names nothing")
    return name


def _walk(folder: Path) -> Iterator[Path]:
    """Go through the pictures below a folder, in order; one that is missing or unreadable has none."""
    count = 0
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_system_folder(name))
        count += 1 + len(files)
        if count > MAX_FILES:
            return
        for file in sorted(files):
            path = Path(where, file)
            if is_picture_name(file) and not path.is_symlink():
                yield path


def _first_line(file: Path) -> str:
    try:
        if not file.is_file():
            return ""
        with open(file, encoding="utf-8", errors="replace") as text:
            return one_line(text.readline(LONGEST).strip(), limit=LONGEST)
    except OSError:
        return ""
