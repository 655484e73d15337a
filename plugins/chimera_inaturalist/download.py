"""Bring photographs into a folder, with the line of ``attribution.csv`` before each.

What was considered: *pyinaturalist* (0.21) knows every address of the service, keeps its pace and asks again after a
5xx. But its address of the service is a constant that its modules copy, so it cannot be tried against another server; it
brings 33 more packages, together 32 MB, a key ring and compiled cryptography among them, for two addresses that need no
login; it keeps answers in a cache of its own, lets five requests go at once, and photographs it does not fetch at all.
So two addresses are asked here through ``WebClient``, and no extra is needed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from chimera_core.api import (
    ConfigError,
    DataError,
    DownloadError,
    atomic_path,
    make_folder,
    one_line,
    read_picture,
    remove_file,
    work_alone,
)
from chimera_inaturalist.config import InaturalistConfig, read_licences, read_taxa
from chimera_inaturalist.manifest import MANIFEST, Row, read_rows, write_rows
from chimera_inaturalist.service import Photo, Service, Taxon

MOST_PHOTO_BYTES = 30_000_000
"""Of one photograph. The largest that they serve, 2048 pixels, has 1 to 5 MB."""
_PAGE = "https://www.inaturalist.org/observations/"

_log = logging.getLogger(__name__)


def bring(config: InaturalistConfig, root: Path, *, progress: Callable[[float, float], None]) -> None:
    """Bring what is missing of the photographs that are asked for.

    What is here is not fetched again, but its licences are looked up anew. What cannot be had is left out with one
    line of the log each. Interrupted, the next call goes on.

    Args:
        config: which animals, how many, under which licences.
        root: the folder; it is made if need be.
        progress: called with (done, total) in photographs.
    Raises:
        ConfigError: if no animal is named, or one is unknown.
        DataError: if the folder's table cannot be read, or nothing at all could be had.
        RunError: if the service or the disk refuses.
    """
    taxa = read_taxa(config.taxa)
    if not taxa:
        raise ConfigError("no animals are named: say which with --taxa, as --taxa lion,tiger,zebra")
    service = Service(config.api, interval_s=config.interval_s)
    found = {name: service.find_taxon(query) for name, query in taxa.items()}
    for name, taxon in found.items():
        if not taxon.exact:
            _log.warning("%s is taken to be %s, taxon %s", name, taxon, taxon.id)
    make_folder(root, mend="name another --root")
    with work_alone(root / MANIFEST):
        _Collection(config, root, found, service, progress).complete()


class _Collection:
    """A folder that is being filled.

    A row is in the table before its photograph is in its folder: whatever ends the work, there is no photograph
    without its terms. Rows whose photographs did not come are taken out again.
    """

    def __init__(
        self,
        config: InaturalistConfig,
        root: Path,
        taxa: Mapping[str, Taxon],
        service: Service,
        progress: Callable[[float, float], None],
    ) -> None:
        self.config = config
        self.root = root
        self.taxa = taxa
        self.progress = progress
        self.licences = read_licences(config.licences)
        self.service = service
        self.rows = read_rows(root)[0]
        hashes = {key: _hash_file(root / row.file) for key, row in self.rows.items()}
        self.here = {key for key, digest in hashes.items() if digest}
        self.by_content = {hashes[key]: self.rows[key] for key in self.here}
        self.left_out: set[str] = set()

    def complete(self) -> None:
        try:
            self._drop_changed()
            for position, (name, taxon) in enumerate(self.taxa.items()):
                self._fill(name, taxon, before=position * self.config.per_class)
        finally:
            self.rows = {key: row for key, row in self.rows.items() if key in self.here}
            write_rows(self.root, self.rows.values())
        if not any(map(self._count, self.taxa)):
            raise DataError(
                f"iNaturalist has no photographs of {', '.join(self.taxa)} under {' or '.join(self.licences)} that "
                "can be had: try other names, or more --licences"
            )

    def _drop_changed(self) -> None:
        """Look up the licences of what is here; take out what its photographer no longer gives away like this."""
        here = [row for key, row in self.rows.items() if row.class_name in self.taxa and key in self.here]
        for photo in self.service.photos_in(list(dict.fromkeys(row.observation_id for row in here))):
            row = self.rows.get(photo.id)
            if row is None or photo.id not in self.here or photo.licence == row.licence:
                continue
            if photo.licence in self.licences:
                self.rows[photo.id] = replace(row, licence=photo.licence, attribution=photo.attribution)
                continue
            _log.warning(
                "%s: its licence changed from %s to %s: removed",
                row.file,
                row.licence,
                photo.licence or "none",
            )
            remove_file(self.root / row.file, within=self.root)
            self.here.remove(photo.id)
            self.left_out.add(photo.id)
            self.by_content = {key: other for key, other in self.by_content.items() if other != row}
            del self.rows[photo.id]

    def _fill(self, name: str, taxon: Taxon, *, before: int) -> None:
        wanted, total = self.config.per_class, self.config.per_class * len(self.taxa)
        self.progress(before + min(self._count(name), wanted), total)
        if self._count(name) < wanted:
            make_folder(self.root / name, within=self.root)
            for page in self.service.photos_of(taxon, self.licences, per_page=max(30, wanted)):
                for photo in self._planned(name, page):
                    self._take(name, photo)
                    self.progress(before + min(self._count(name), wanted), total)
                if self._count(name) >= wanted:
                    break
            else:
                _log.warning(
                    "%s: %d of %d photographs: iNaturalist has no more of %s under %s",
                    name, self._count(name), wanted, taxon, " or ".join(self.licences),
                )  # fmt: skip
        self.progress(before + wanted, total)

    def _planned(self, name: str, page: list[Photo]) -> Iterator[Photo]:
        """Choose from a page what is to be fetched, and write its rows; more is chosen while some cannot be had."""
        # The last one of a number wins: a photograph may belong to two observations.
        once = {photo.id: photo for photo in page}
        fresh = iter([photo for photo in once.values() if self._may_have(name, photo)])
        while missing := self.config.per_class - self._count(name):
            chosen = list(islice(fresh, missing))
            if not chosen:
                return
            for photo in chosen:
                self.rows[photo.id] = self._row(name, photo, photo.url(self.config.photo_size))
            write_rows(self.root, self.rows.values())
            yield from chosen

    def _may_have(self, name: str, photo: Photo) -> bool:
        if photo.id in self.left_out or photo.id in self.here:
            return False
        if photo.licence not in self.licences:
            self._leave_out(name, photo, f"its licence is {photo.licence or 'none or unknown'}")
            return False
        return True

    def _take(self, name: str, photo: Photo) -> None:
        row = self.rows[photo.id]
        try:
            data = self.service.fetch(row.photo_url, limit=MOST_PHOTO_BYTES)
        except DownloadError as error:
            self._leave_out(name, photo, str(error))
            return
        twin = self.by_content.get(key := _hash(data))
        if twin is not None:
            self._leave_out(name, photo, f"it is the same picture as {twin.file}")
            return
        try:
            with atomic_path(self.root / row.file) as temporary:
                temporary.write_bytes(data)
                read_picture(temporary)
        except DataError:
            self._leave_out(name, photo, "what came is not an image that can be read")
            return
        self.here.add(photo.id)
        self.by_content[key] = row

    def _leave_out(self, name: str, photo: Photo, reason: str) -> None:
        self.rows.pop(photo.id, None)
        self.left_out.add(photo.id)
        _log.warning("left out: photograph %s of %s: %s", photo.id, name, one_line(reason, limit=300))

    def _row(self, name: str, photo: Photo, photo_url: str) -> Row:
        return Row(
            file=f"{name}/{photo.id}.{photo.suffix}",
            taxon=photo.taxon or name,
            photo_id=photo.id,
            observation_id=photo.observation_id,
            licence=photo.licence,
            attribution=photo.attribution,
            source_url=_PAGE + photo.observation_id,
            photo_url=photo_url,
        )

    def _count(self, name: str) -> int:
        """Count the photographs of a class that are here under the licences that are asked for."""
        here = (self.rows[key] for key in self.here)
        return sum(row.class_name == name and row.licence in self.licences for row in here)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_file(path: Path) -> str:
    """Hash a file; empty if there is none. One that cannot be read keeps its terms, and equals no other."""
    try:
        return _hash(path.read_bytes()) if path.is_file() else ""
    except OSError as error:
        return f"{path}: {error}"
