"""From names to pictures: the library first, then the collections on this machine; never the network."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import one_line, quote
from chimera_core.library.choosing import PictureScores, pick_picture
from chimera_core.library.collections import Place, places
from chimera_core.library.matching import STEPS, NameIndex, plain_name
from chimera_core.library.records import PictureRecord
from chimera_core.options.config import suggest

if TYPE_CHECKING:
    from chimera_core.plugins.discovery import PluginHost

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Match:
    """What a name means: names of one place, with their pictures. ``step``: how they were matched."""

    place: Place
    step: str
    pictures: Mapping[str, Sequence[Path]]

    @property
    def files(self) -> list[Path]:
        """All pictures, name by name."""
        return [file for name in sorted(self.pictures) for file in self.pictures[name]]


@dataclass(frozen=True)
class NamedPicture:
    """A parent that was given by name, and the picture that stands for it.

    ``name`` is what the user typed, ``found`` the name that was matched, ``others`` further names that would have
    been as near. ``collection`` is ``library`` or a collection's name in the registry, ``mask`` an outline drawn by hand.
    """

    name: str
    found: str
    file: Path
    collection: str
    title: str
    record: PictureRecord
    others: tuple[str, ...] = ()
    mask: Path | None = None

    def __str__(self) -> str:
        shown = self.file.name if self.found == plain_name(self.name) else f"{self.found}, {self.file.name}"
        terms = self.record.licence or "licence not noted"
        also = f"; also {', '.join(self.others[:5])}" if self.others else ""
        return one_line(f"{self.name}: {shown} of {self.title} ({terms}){also}")

    def as_json(self, *, with_folder: bool) -> dict[str, str]:
        """Give what machine output says of it; ``with_folder`` False leaves the folder, which is private, out."""
        return {
            "name": self.name,
            "file": str(self.file) if with_folder else self.file.name,
            "collection": self.collection,
            "licence": self.record.licence,
            "attribution": self.record.attribution,
            "source": self.record.source,
        }


class Names:
    """All names that have pictures on this machine.

    Args:
        host: its settings say where the library lies, its registry knows the collections.
    """

    def __init__(self, host: PluginHost) -> None:
        self.host = host
        self.places = places(host)
        self._pictures = [place.pictures() for place in self.places]
        self._indices = [NameIndex(found) for found in self._pictures]

    def __iter__(self) -> Iterator[tuple[Place, str, Sequence[Path]]]:
        """Go through (place, name, its pictures), in the order in which names are looked up."""
        for place, found in zip(self.places, self._pictures, strict=True):
            yield from ((place, name, files) for name, files in found.items())

    def match(self, name: str) -> Match | None:
        """Look a name up: exactly in every place, then its plural or singular, synonyms, last word, first word.

        Raises:
            ConfigError: if it cannot be a name.
        """
        wanted = plain_name(name)
        for step in STEPS:
            for place, pictures, index in zip(self.places, self._pictures, self._indices, strict=True):
                if names := index.find(wanted, step):
                    return Match(place, step, {found: pictures[found] for found in names})
        return None

    def near(self, name: str) -> str:
        """Return which name was probably meant; nothing where none is near."""
        known = {found for _, found, _ in self}
        known |= {
            c for m in self.host.registry.models.values() if m.kind == "fusion-generator" for c in m.classes
        }
        nearest = difflib.get_close_matches(plain_name(name), sorted(known), n=1, cutoff=0.6)
        return suggest(plain_name(name), nearest)


def find_pictures(
    names: Sequence[str],
    *,
    host: PluginHost,
    seed: int = 0,
    fetch: Callable[[str], object] | None = None,
    visibility: PictureScores | None = None,
) -> list[NamedPicture]:
    """Find a picture for every name.

    Of several pictures the seed picks: seed 0 takes the best of every name, and as it grows all combinations come
    along. A name that is given twice has two pictures, if there are two.

    Args:
        names: as the user typed them.
        fetch: brings pictures of a name that is not found into the library; None: nothing is fetched.
        visibility: looks at pictures where a name has several; None: the best is known by headers alone.
    Raises:
        ConfigError: if one cannot be a name.
        DataError: if one has no picture; it gives the ways to get one. Or none of its pictures can be read.
        ChimeraError: whatever ``fetch`` raises.
    """
    known = Names(host)
    matches: list[Match] = []
    missing = [name for name in names if known.match(name) is None]
    if missing and fetch is not None:
        for name in dict.fromkeys(missing):
            fetch(name)
        known = Names(host)
        missing = [name for name in names if known.match(name) is None]
    if missing:
        classes = {c for model in host.registry.models.values() for c in model.classes}
        raise unknown_name(next((name for name in missing if name not in classes), missing[0]), known)
    matches = [match for name in names if (match := known.match(name)) is not None]
    found: list[NamedPicture] = []
    turn, rest = 0, seed
    for k, (name, match) in enumerate(zip(names, matches, strict=True)):
        before = sum(earlier.pictures == match.pictures for earlier in matches[:k])
        # A digit of the seed for each name, added to those of the names before it: so every seed changes all of
        # them, and still all combinations come along.
        rest, digit = divmod(rest, len(match.files))
        turn += digit
        found.append(_named(name, match, pick_picture(match.files, turn + before, visibility=visibility)))
    return found


def unknown_name(name: str, known: Names) -> DataError:
    """Report that a name has no picture, with the ways to get one."""
    plain = plain_name(name)
    return DataError(
        f"there is no picture of {quote(name)}{known.near(name)}: name an image file, or bring one into the "
        f"library with `chimera library add {plain} FILE` or `chimera library fetch {plain}` (in fuse: --fetch)"
    )


def _named(name: str, match: Match, file: Path) -> NamedPicture:
    of_file = next(found for found, files in match.pictures.items() if file in files)
    try:
        record = match.place.record(file)
    except ConfigError as error:
        _log.warning("%s; its terms are not known", error)
        record = PictureRecord()
    others = tuple(other for other in match.pictures if other != of_file)
    return NamedPicture(
        name, of_file, file, match.place.key, match.place.title, record, others, match.place.mask(file)
    )
