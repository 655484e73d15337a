"""A server on this machine that answers as iNaturalist's does, and misbehaves on demand."""

from __future__ import annotations

import gzip
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

ANIMALS = {"Panthera leo": "Lion", "Panthera tigris": "Tiger", "Equus quagga": "Plains Zebra"}
OTHERS = {"Dreissena polymorpha": "Zebra Mussel", "Lilium lancifolium": "Tiger Lily"}


def picture(number: int, form: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((80, 60)).save(file, form)
    return file.getvalue()


@dataclass
class Request:
    """What was asked, when, and by whom."""

    path: str
    query: dict[str, str]
    agent: str
    at_s: float


class Service(ThreadingHTTPServer):
    """Observations of a few taxa, 20 photographs each; a test changes ``photos`` and ``faults`` as it likes."""

    picture = staticmethod(picture)
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self.faults: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.bodies: dict[int, bytes | None] = {}
        self.pause_s = 0.0
        self.taxa = [
            {
                "id": 40 + k,
                "name": name,
                "preferred_common_name": common,
                "rank": "species",
                "iconic_taxon_name": "Plantae" if common == "Tiger Lily" else "Mammalia",
                "observations_count": 1000 * (7 - k),
            }
            for k, (name, common) in enumerate({**ANIMALS, **OTHERS}.items())
        ]
        self.photos: dict[int, dict[str, Any]] = {}
        for taxon in self.taxa[: len(ANIMALS)]:
            for k in range(20):
                # Two photographs for every third observation, so that some observations have several.
                number = taxon["id"] * 1000 + k
                self.photos[number] = {
                    "id": number,
                    "license_code": ("cc0", "cc-by")[k % 2],
                    "attribution": f'(c) Ann "Eagle" Öst {k}, some rights reserved (CC BY)',
                    "url": f"{self.address}/photos/{number}/square.{('jpg', 'jpeg')[k % 5 == 4]}?1545715684",
                    "original_dimensions": {"width": 2048, "height": 1536},
                    "taxon_id": taxon["id"],
                    "observation_id": taxon["id"] * 100_000 + (k - (k % 3 == 1)),
                }

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def api(self) -> str:
        return f"{self.address}/v1"

    def asked(self, start: str) -> list[Request]:
        return [r for r in self.requests if r.path.startswith(start)]

    def fetched(self) -> list[int]:
        return [int(r.path.split("/")[2]) for r in self.asked("/photos/")]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients are killed on purpose here

    def find_taxa(self, words: str) -> list[dict[str, Any]]:
        return [
            {**t, "matched_term": t["preferred_common_name"]}
            for t in self.taxa
            if words.lower() in f"{t['name']} {t['preferred_common_name']}".lower()
        ]

    def observations(self, query: dict[str, str]) -> list[dict[str, Any]]:
        named = {t["id"]: t for t in self.taxa}
        licences = set(query["photo_license"].split(",")) if "photo_license" in query else None
        wanted = set(map(int, query["id"].split(","))) if "id" in query else None
        found: dict[int, dict[str, Any]] = {}
        for photo in self.photos.values():
            number = photo["observation_id"]
            if str(photo["taxon_id"]) != query.get("taxon_id", str(photo["taxon_id"])):
                continue
            if (wanted is not None and number not in wanted) or number <= int(query.get("id_above", 0)):
                continue
            shown = {k: v for k, v in photo.items() if k not in ("taxon_id", "observation_id")}
            entry = found.setdefault(
                number,
                {
                    "id": number,
                    "quality_grade": "research",
                    "license_code": "cc-by-nc",
                    "uri": f"https://www.inaturalist.org/observations/{number}",
                    "taxon": named[photo["taxon_id"]],
                    "photos": [],
                },
            )
            entry["photos"].append(shown)
        # As theirs: an observation is found if one of its photographs has one of the licences.
        listed = [
            o
            for o in found.values()
            if licences is None or any(p.get("license_code") in licences for p in o["photos"])
        ]
        return sorted(listed, key=lambda o: o["id"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        self.close_connection = True
        split = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        self.server.requests.append(
            Request(split.path, query, self.headers["User-Agent"] or "", time.monotonic())
        )
        time.sleep(self.server.pause_s)
        for start, faults in self.server.faults.items():
            if split.path.startswith(start) and faults:
                code, headers = faults.pop(0)
                self.give(code, b"{}", **headers)
                return
        if split.path == "/v1/taxa":
            self.give_list(self.server.find_taxa(query["q"]), query)
        elif split.path.startswith("/v1/taxa/"):
            self.give_list([t for t in self.server.taxa if str(t["id"]) == split.path.split("/")[3]], query)
        elif split.path == "/v1/observations":
            self.give_list(self.server.observations(query), query)
        elif split.path.startswith("/photos/"):
            number = int(split.path.split("/")[2])
            body = self.server.bodies.get(number, picture(number))
            self.give(404, b"") if body is None else self.give(200, body, **{"Content-Type": "image/jpeg"})
        else:
            self.give(404, b"")

    def give_list(self, results: list[dict[str, Any]], query: dict[str, str]) -> None:
        page = results[: int(query.get("per_page", 30))]
        answer = {"total_results": len(results), "page": 1, "per_page": len(page), "results": page}
        body = gzip.compress(json.dumps(answer).encode())
        self.give(200, body, **{"Content-Type": "application/json", "Content-Encoding": "gzip"})

    def give(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Service()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


Bring = Callable[..., list[tuple[float, float]]]


@pytest.fixture
def bring(service: Service, tmp_path: Path) -> Bring:
    """Download into tmp_path/animals by the class method, as `chimera library fetch` does, too."""
    from chimera_inaturalist.config import InaturalistConfig
    from chimera_inaturalist.source import InaturalistSource

    def download(taxa: str = "lion,tiger,zebra", **options: Any) -> list[tuple[float, float]]:
        reported: list[tuple[float, float]] = []
        defaults = {"per_class": 20, "root": str(tmp_path / "animals"), "api": service.api, "interval_s": 0}
        config = InaturalistConfig(taxa=taxa, **{**defaults, **options})
        InaturalistSource.download(config, progress=lambda done, total: reported.append((done, total)))
        return reported

    return download
