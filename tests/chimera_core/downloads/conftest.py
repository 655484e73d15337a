"""A server that answers as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from toys.unruly_server import Server

from chimera_core.downloads import transfer as download


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once, and this machine directly."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def server(impatient: None) -> Iterator[Server]:
    """Run a server without answers."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
