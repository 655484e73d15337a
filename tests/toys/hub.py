"""A stand-in of the hub on 127.0.0.1: repositories of files by commit, read and written as huggingface_hub asks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Files = dict[str, bytes]


class Repository:
    """Commits of one repository; ``main`` is the newest. ``card`` is what its card says, ``error`` how it is refused."""

    def __init__(self, files: Files, card: dict[str, Any] | None = None, error: str = "") -> None:
        self.card, self.error = card or {}, error
        self.commits: dict[str, Files] = {}
        self.branches: dict[str, str] = {}
        self.commit(files)

    def commit(self, files: Files, *, branch: str = "main") -> str:
        """Add files to what is there, as a new commit."""
        whole = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        seal = json.dumps(
            [len(self.commits), {k: hashlib.sha1(v).hexdigest() for k, v in sorted(whole.items())}]
        )
        sha = hashlib.sha1(seal.encode()).hexdigest()
        self.commits[sha], self.branches[branch] = whole, sha
        return sha

    def find(self, revision: str) -> str | None:
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


class Hub(ThreadingHTTPServer):
    """``repositories`` by kind and name, ``("datasets", "owner/name")``; ``asked`` lists the requests' paths.

    ``tampered`` are other bytes that it sends for a file than it announces.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self.tampered: Files = {}
        self.over = False
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def lend(self, monkeypatch: Any, home: Path) -> None:
        """Let the libraries of this process take this hub for theirs, and keep what they fetch below ``home``."""
        import datasets
        from huggingface_hub import close_session, constants

        monkeypatch.setenv("no_proxy", "*")
        close_session()  # one that another test began keeps that test's proxies
        template = self.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", self.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        for name, folder in (("HF_HUB_CACHE", "hub"), ("HF_XET_CACHE", "xet")):
            monkeypatch.setattr(constants, name, str(home / folder))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", self.address)
        monkeypatch.setattr(
            datasets.config,
            "HUB_DATASETS_URL",
            self.address + "/datasets/{repo_id}/resolve/{revision}/{path}",
        )
        monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
        # After each stream it sleeps 5 s.
        monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)

    def stop(self) -> None:
        self.over = True
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def _get(self) -> None:
        path = self._path()
        if path == "/api/whoami-v2":
            return self._json({"name": "tester", "type": "user", "orgs": [], "auth": {}})
        if match := re.fullmatch(
            r"/api/(datasets|models)/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+)(?:/(.*))?)?", path
        ):
            kind, name, what, revision, below = match.groups()
            if (found := self._find(kind, name, revision or "main")) is None:
                return None
            repository, sha = found
            if what == "tree":
                return self._json(self._tree(repository.commits[sha], below or ""))
            siblings = [
                {"rfilename": file, "size": len(body)} for file, body in repository.commits[sha].items()
            ]
            return self._json(
                {"id": name, "sha": sha, "siblings": siblings, "cardData": repository.card, "private": False,
                 "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
                 "lastModified": "2026-11-01T00:00:00.000Z", "createdAt": "2026-11-01T00:00:00.000Z"}
            )  # fmt: skip
        if match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, name, revision, file = match.groups()
            if (found := self._find("datasets" if kind else "models", name, revision)) is None:
                return None
            repository, sha = found
            body = repository.commits[sha].get(file)
            if body is None:
                return self._refuse(404, "EntryNotFound", sha=sha)
            return self._bytes(file, body, sha)
        return self._refuse(404, "EntryNotFound")

    def do_POST(self) -> None:
        path = self._path()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.tokens.append(self.headers.get("Authorization", ""))
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = (
                f"{asked['organization']}/{asked['name']}"
                if asked.get("organization")
                else f"tester/{asked['name']}"
            )
            key = ("datasets" if asked.get("type") == "dataset" else "models", name)
            self.server.repositories.setdefault(key, Repository({}))
            return self._json({"url": f"{self.server.address}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        match = re.fullmatch(
            r"/api/(datasets|models)/([^/]+/[^/]+)/(paths-info|preupload|commit)/([^/]+)", path
        )
        if not match:
            return self._refuse(404, "EntryNotFound")
        kind, name, what, revision = match.groups()
        if (found := self._find(kind, name, revision)) is None:
            return None
        repository, sha = found
        if what == "paths-info":
            asked = json.loads(body) if body.startswith(b"{") else parse_qs(body.decode())
            files = repository.commits[sha]
            return self._json([_entry(file, files[file]) for file in asked["paths"] if file in files])
        if what == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self._json({"files": files})
        lines = [json.loads(line) for line in body.splitlines()]
        new = {
            x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"
        }
        sha = repository.commit(new, branch=revision)
        url = f"{self.server.address}/{name}/commit/{sha}"
        return self._json({"commitUrl": url, "commitOid": sha, "hookOutput": "", "success": True})

    def _path(self) -> str:
        if self.server.over:  # on a connection that was kept
            raise ConnectionAbortedError
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        return path

    def _find(self, kind: str, name: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.server.repositories.get((kind, name))
        if repository is None:
            self._refuse(401 if kind == "models" else 404, "RepoNotFound")
        elif repository.error:
            self._refuse(403, repository.error)
        elif (sha := repository.find(revision)) is None:
            self._refuse(404, "RevisionNotFound")
        else:
            return repository, sha
        return None

    def _tree(self, files: Files, below: str) -> list[dict[str, Any]]:
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() == "true"
        start = f"{below}/" if below else ""
        entries, folders = [], set()
        for file, body in files.items():
            if not file.startswith(start):
                continue
            rest = file[len(start) :].split("/")
            for depth in range(1, len(rest) if recursive else min(2, len(rest))):
                folders.add(start + "/".join(rest[:depth]))
            if recursive or len(rest) == 1:
                entries.append(_entry(file, body))
        return [
            {"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in sorted(folders)
        ] + entries

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self._send(200, body, {"Content-Type": "application/json"})

    def _bytes(self, file: str, body: bytes, sha: str) -> None:
        headers = {"X-Repo-Commit": sha, "ETag": f'"{tag_of(file, body)}"', "Accept-Ranges": "bytes"}
        body = self.server.tampered.get(file, body)
        if (asked := self.headers.get("Range", "")) and (match := re.fullmatch(r"bytes=(\d+)-(\d*)", asked)):
            first, last = int(match[1]), min(int(match[2] or len(body) - 1), len(body) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            return self._send(206, body[first : last + 1], headers)
        return self._send(200, body, headers)

    def _refuse(self, code: int, name: str, *, sha: str = "") -> None:
        headers = {"X-Error-Code": name, "X-Error-Message": name}
        if sha:
            headers["X-Repo-Commit"] = sha
        self._send(code, json.dumps({"error": name}).encode(), headers)

    def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def tag_of(file: str, body: bytes) -> str:
    """Give what the hub knows a file by: large ones by their SHA-256, others as git does."""
    if file.endswith((".safetensors", ".parquet")):
        return hashlib.sha256(body).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def _entry(file: str, body: bytes) -> dict[str, Any]:
    return {"type": "file", "path": file, "size": len(body), "oid": tag_of(file, body)[:40]}
