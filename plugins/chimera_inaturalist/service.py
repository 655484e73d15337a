"""iNaturalist's published interface, version 1: two addresses, and the fields of their answers that are read.

``/taxa`` (q, is_active, per_page): results[].id, name, preferred_common_name, matched_term, iconic_taxon_name,
observations_count. ``/observations`` (taxon_id, quality_grade, photos, photo_license, id, id_above, order, order_by,
per_page): results[].id, quality_grade, taxon.name, photos[].id, url, license_code, attribution. Nothing that comes is
believed: numbers must be digits, addresses http(s), text is made safe to print.

Source: https://api.inaturalist.org/v1/docs and https://www.inaturalist.org/pages/api+recommended+practices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from chimera_core.api import ConfigError, DownloadError, RunError, WebClient, one_line
from chimera_inaturalist.config import LICENCES

PAGE = 200
"""The most results that one answer may have."""
MOST_JSON_BYTES = 100_000_000
"""Of one answer, unpacked. An observation with many comments has 100 kB."""
_BYTES_PER_S = 24e9 / 86_400
"""They block who takes more than 5 GB of media an hour or 24 GB a day. At this rate neither can happen."""
_SUFFIXES = {"jpg": "jpg", "jpeg": "jpg", "png": "png", "gif": "gif", "webp": "webp"}
_NO_ANIMALS = {"Plantae", "Fungi", "Chromista", "Protozoa"}
_IDS_AT_ONCE = 100


@dataclass(frozen=True)
class Taxon:
    """A kind of animal; ``exact`` is false where its name is not the very one that was asked for."""

    id: str
    name: str
    common_name: str
    exact: bool

    def __str__(self) -> str:
        return f"{self.common_name} ({self.name})" if self.common_name else self.name


@dataclass(frozen=True)
class Photo:
    """One photograph of an observation. ``licence`` is empty where all rights are reserved."""

    id: str
    observation_id: str
    taxon: str
    licence: str
    attribution: str
    square_url: str

    def url(self, size: str) -> str:
        """Give the address of a size: only that word differs among the sizes."""
        return re.sub(r"/square\.(?=\w+(\?|$))", f"/{size}.", self.square_url)

    @property
    def suffix(self) -> str:
        """The ending of its file, without the dot."""
        return _SUFFIXES[self.square_url.partition("?")[0].rpartition(".")[2].lower()]


class Service:
    """Asks the service, one request after the other.

    Every method raises ``RunError`` if the service cannot be reached, refuses, or answers nonsense.
    """

    def __init__(self, api: str, *, interval_s: float) -> None:
        self._api = api.rstrip("/")
        self._is_safe = urlsplit(api).scheme == "https"
        self._web = WebClient(interval_s=interval_s, bytes_per_s=_BYTES_PER_S)

    def find_taxon(self, query: str) -> Taxon:
        """Find an animal by its English or scientific name, or by its number.

        The very name comes first, then a plural, then names that end in it (``zebra`` in Plains Zebra); among equals
        the one that is observed most.

        Raises:
            ConfigError: if there is none; it names the nearest.
        """
        try:
            if query.isascii() and query.isdigit():
                results = self._ask(f"/taxa/{query}")
            else:
                results = self._ask("/taxa", q=query, is_active="true", per_page=30)
        except DownloadError:  # the service is there, but this is not
            results = []
        animals = [r for r in results if _id(r) and r.get("iconic_taxon_name") not in _NO_ANIMALS]
        ranked = [(rank, -_count(r), r) for r in animals if (rank := _nearness(query, r)) is not None]
        if not ranked:
            near = ", ".join(
                dict.fromkeys(filter(None, (_text(r, "preferred_common_name") for r in animals)))
            )
            raise ConfigError(
                f"iNaturalist knows no animal '{query}'{f' (near: {one_line(near, limit=120)})' if near else ''}: "
                "write its English or scientific name, or say which is meant as lion=Panthera leo"
            )
        rank, _, best = min(ranked, key=lambda entry: entry[:2])
        return Taxon(_id(best), _text(best, "name"), _text(best, "preferred_common_name"), exact=rank == 0)

    def photos_of(self, taxon: Taxon, licences: Sequence[str], *, per_page: int) -> Iterator[list[Photo]]:
        """List the photographs of research-grade observations, oldest first, a page at a time.

        A page holds all photographs of its observations, those under other licences, too.
        """
        last = 0
        while True:
            results = self._ask(
                "/observations",
                taxon_id=taxon.id,
                quality_grade="research",
                photos="true",
                photo_license=",".join(licences),
                order="asc",
                order_by="id",
                id_above=last,
                per_page=min(per_page, PAGE),
            )
            # By id and not by page number: they end pages at 10,000, and what is added meanwhile shifts none.
            ids = [int(i) for r in results if (i := _id(r))]
            if not ids or max(ids) <= last:
                return
            yield [
                photo
                for r in results
                if r.get("quality_grade", "research") == "research" and int(_id(r) or 0) > last
                for photo in self._photos(r)
            ]
            last = max(ids)

    def photos_in(self, observation_ids: Sequence[str]) -> Iterator[Photo]:
        """List what the photographs of observations are today, whatever their licence."""
        for at in range(0, len(observation_ids), _IDS_AT_ONCE):
            some = observation_ids[at : at + _IDS_AT_ONCE]
            for result in self._ask("/observations", id=",".join(some), per_page=PAGE):
                yield from self._photos(result)

    def fetch(self, url: str, *, limit: int) -> bytes:
        """Read a photograph; raises ``DownloadError`` where this one is not to be had."""
        return self._web.get(url, limit=limit)

    def _ask(self, path: str, **query: object) -> list[dict[str, Any]]:
        url = f"{self._api}{path}?{urlencode({k: str(v) for k, v in query.items()})}"
        try:
            answer = json.loads(self._web.get(url, limit=MOST_JSON_BYTES))
            results = answer["results"]
            if not isinstance(results, list):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(
                f"{one_line(self._api)}{path} answers what is not a list of results: it is not the service expected, "
                "or has changed"
            ) from error
        return [r for r in results if isinstance(r, dict)]

    def _photos(self, observation: dict[str, Any]) -> Iterator[Photo]:
        observation_id, taxon = _id(observation), observation.get("taxon")
        listed = observation.get("photos")
        if not observation_id or not isinstance(listed, list):
            return
        for entry in listed:
            if not isinstance(entry, dict) or not (photo_id := _id(entry)):
                continue
            url = entry.get("url")
            if isinstance(url, str) and self._is_photo(url):
                yield Photo(
                    id=photo_id,
                    observation_id=observation_id,
                    taxon=_text(taxon, "name") if isinstance(taxon, dict) else "",
                    licence=licence if (licence := _text(entry, "license_code").lower()) in LICENCES else "",
                    attribution=_text(entry, "attribution"),
                    square_url=url,
                )

    def _is_photo(self, url: str) -> bool:
        match = re.fullmatch(r"(https?)://[!-~]+/square\.(\w+)(\?[!-~]*)?", url)
        return bool(match and match[2].lower() in _SUFFIXES and (match[1] == "https" or not self._is_safe))


def _nearness(query: str, result: dict[str, Any]) -> int | None:
    """Rank a taxon by how well its names fit: 0 the very one, None not at all."""
    wanted = _plain(query)
    names = [
        _plain(_text(result, key))
        for key in ("name", "preferred_common_name", "matched_term")
        if key in result
    ]
    if wanted in names or query == _id(result):
        return 0
    if any(
        name in (f"{wanted}s", f"{wanted}es") or wanted in (f"{name}s", f"{name}es") for name in names if name
    ):
        return 1
    return 2 if any(name.endswith(f" {wanted}") for name in names) else None


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", name.casefold().replace("'s", "s")).split())


def _id(record: dict[str, Any]) -> str:
    """Read the number of a record as digits; empty if it is none."""
    value = record.get("id")
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return text if re.fullmatch(r"[1-9][0-9]{0,17}", text) else ""


def _count(record: dict[str, Any]) -> int:
    value = record.get("observations_count")
    return value if isinstance(value, int) else 0


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return one_line(value, limit=300) if isinstance(value, str) else ""
