"""What tabs share: pictures that are drawn ahead are taken, and hints that a method does not take are said to be useless."""

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


@pytest.mark.parametrize(("option", "what"), [("head_box", "heads"), ("neck", "necks")])
def test_a_method_that_does_not_look_at_what_is_corrected_says_so(
    studio: Studio, option: str, what: str
) -> None:
    held = Session(fuser="cut-and-blend")
    told = studio.why_no_hint(held, option)
    assert told == f"This method does not look at {what}: choose parts or Automatic."
    for fuser in ("parts", ""):
        held.fuser = fuser
        assert studio.why_no_hint(held, option) == ""


def test_a_method_that_automatic_takes_and_that_does_not_look_at_heads_is_named(studio: Studio) -> None:
    slots: list[Slot | None] = [Slot(f"/p/{k}.jpg", f"{k}.jpg", True) for k in "ab"]
    held = Session(parents=[*slots, None])
    job = studio.look(held)
    job.remarks = ["fuser: style-transfer (the layout of a, the coat of b)"]
    studio.note_choice(held, job)
    told = studio.why_no_hint(held, "neck")
    assert told.startswith(
        "style-transfer, which Automatic takes for these photographs, does not look at necks"
    )
    job.remarks = ["fuser: parts (the body of a, the head of b)"]
    studio.note_choice(held, job)
    assert studio.why_no_hint(held, "neck") == ""
