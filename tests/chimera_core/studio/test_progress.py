"""How long a job takes still is given where its progress moves steadily, and never grows."""

from __future__ import annotations

import pytest

from chimera_core.studio import workshop
from chimera_core.studio.look import working
from chimera_core.studio.workshop import Job


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(workshop, "time", clock)
    return clock


def begun(clock: Clock) -> Job:
    job = Job(1, {}, is_urgent=True)
    job.state, job.begun = "working", clock.now
    return job


def test_steady_progress_gives_the_time_left_which_goes_down(clock: Clock) -> None:
    job, left = begun(clock), []
    for step in range(1, 10):
        clock.now += 3
        job.report(step / 10)
        left.append(job.left_s)
    assert left[:3] == [None, None, None]
    assert left[3:] == pytest.approx([18, 15, 12, 9, 6, 3])
    assert working(job, "Drawing").startswith("<span>Drawing ... 90%, 27 s so far, about 3 s left")


def test_progress_that_stands_gives_no_time_left(clock: Clock) -> None:
    job = begun(clock)
    for step in range(1, 7):
        clock.now += 0.5
        job.report(step / 10)
    assert job.left_s == pytest.approx(2)
    clock.now += 1
    assert job.left_s == pytest.approx(1)
    clock.now += 42
    assert job.left_s is None
    assert "Drawing ... 60%, 46 s so far<" in working(job, "Drawing")


def test_progress_that_slows_down_gives_no_growing_time(clock: Clock) -> None:
    job, left = begun(clock), []
    for step in range(1, 60):
        clock.now += 0.5 if step < 20 else 4
        job.report(step / 60)
        left.append(job.left_s)
    known = [seconds for seconds in left if seconds is not None]
    assert known and known == sorted(known, reverse=True)


def test_a_fuser_that_counts_anew_takes_the_bar_nowhere_back(clock: Clock) -> None:
    job = begun(clock)
    shares = []
    for said in (0.2, 0.4, 0.6, 0.8, 0.1, 0.3, 0.9):
        clock.now += 1
        job.report(said)
        shares.append(job.share)
    assert shares == [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.9]
