"""Scripts of research/ are imported as they import each other, and are gone after each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RESEARCH = Path(__file__).parents[2] / "research"


@pytest.fixture(autouse=True)
def research(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(RESEARCH))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("published", "ranking", "redraw"):
            del sys.modules[name]
