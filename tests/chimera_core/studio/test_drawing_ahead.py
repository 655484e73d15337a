"""Pictures that are drawn ahead are taken, not drawn twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chimera_core.plugins.discovery import default_host
from chimera_core.studio import studio as studio_module
from chimera_core.studio.creature import Creature
from chimera_core.studio.parents import Slot
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio
from chimera_core.studio.workshop import Job


class Bench:
    """A workshop whose jobs are ended by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.jobs = folder, list[Job]()

    def put(self, task: str, *, is_urgent: bool = True, **order: Any) -> Job:
        self.jobs.append(Job(len(self.jobs) + 1, {"task": task, **order}, is_urgent=is_urgent))
        return self.jobs[-1]

    @property
    def drawn(self) -> list[Job]:
        return [job for job in self.jobs if job.order["task"] == "draw"]


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr(studio_module, "Workshop", Bench)
    return Studio(tmp_path, default_host())


def test_a_picture_that_is_drawn_ahead_at_this_moment_is_waited_for_and_kept_once(
    studio: Studio, tmp_path: Path
) -> None:
    llama, tiger = (Slot(f"/p/{name}.jpg", f"{name}.jpg", True) for name in ("llama", "tiger"))
    held = Session(parents=[llama, tiger, None], shares=[55.0, 45.0, 45.0])
    ask, bench = held.ask(), studio.workshop
    assert isinstance(bench, Bench)
    ahead, asked = studio.drawing(held, ask, is_urgent=False), studio.drawing(held, ask)
    next(ahead)
    assert not studio.is_coming(held, ask)  # it waits for others
    bench.drawn[0].state = "working"
    assert studio.is_coming(held, ask)
    next(asked)
    assert len(bench.drawn) == 1 and held.job is bench.drawn[0]  # which Cancel stops
    (tmp_path / "made.png").write_bytes(b"")
    result = {"file": str(tmp_path / "made.png"), "fuser": "parts", "size": [8, 8], "chosen": ""}
    bench.drawn[0].end("done", result=result | {"names": ["llama", "tiger"], "pictures": []})
    (first,), (second,) = list(ahead), list(asked)
    assert isinstance(first, Creature) and first is second
    assert studio.is_coming(held, ask)
    next(studio.drawing(held, ask.at((0.5, 0.5))))
    assert len(bench.drawn) == 2
