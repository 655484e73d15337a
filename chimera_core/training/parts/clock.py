"""When to do what: cadences counted in images, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable


def is_due(every: int, before: int, after: int) -> bool:
    """Return whether a step from ``before`` to ``after`` images passes a multiple of ``every``; 0 is never."""
    return every > 0 and after // every > before // every


class Clock:
    """Measures a training, over its interruptions.

    Args:
        max_minutes: when time is up; None: never.
        wall_s: seconds that earlier parts of the run have taken.
        now: for tests.
    """

    def __init__(
        self,
        *,
        max_minutes: float | None = None,
        wall_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._start = now() - wall_s
        self._limit_s = None if max_minutes is None else max_minutes * 60
        self._lap = (now(), 0)
        self._saved = self._drawn = now()

    @property
    def wall_s(self) -> float:
        """Seconds of training so far, those of earlier parts included."""
        return self._now() - self._start

    @property
    def is_over(self) -> bool:
        """Whether ``max_minutes`` have passed."""
        return self._limit_s is not None and self.wall_s >= self._limit_s

    @property
    def share(self) -> float:
        """Share of ``max_minutes`` that has passed, in [0, 1]; 0 without."""
        return 0.0 if self._limit_s is None else min(1.0, self.wall_s / self._limit_s)

    def lap(self, images: int) -> float:
        """Give images per second since the last call."""
        (then, before), now = self._lap, self._now()
        self._lap = (now, images)
        return (images - before) / max(now - then, 1e-9)

    def start_lap(self, images: int) -> None:
        """Start to measure here, after work that is not training."""
        self._lap = (self._now(), images)

    def save_is_due(self, minutes: float) -> bool:
        """Return whether the last checkpoint is so many minutes old; 0 is never."""
        return minutes > 0 and self._now() - self._saved >= minutes * 60

    def picture_is_due(self, seconds: float) -> bool:
        """Return whether the last picture is so many seconds old; if so, the next one is counted from now."""
        due = self._now() - self._drawn >= seconds
        self._drawn = self._now() if due else self._drawn
        return due

    def saved(self) -> None:
        """Note that a checkpoint was written."""
        self._saved = self._now()
