"""What one tab of the page holds, and what all tabs share. Torch-free, and knows no Gradio."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.own_folders import remove_tree
from chimera_core.fusing.weights import sweep_weights
from chimera_core.options.flags import Flag
from chimera_core.plugins.discovery import PluginHost
from chimera_core.studio.asks import DEFAULT_SIZE, MAX_PARENTS, Ask
from chimera_core.studio.fuser_options import FuserFacts, flags_for, list_fusers, nested
from chimera_core.studio.keep import title_of
from chimera_core.studio.parents import Slot
from chimera_core.studio.weights import weights_of_line, weights_of_three
from chimera_core.studio.workshop import Job, Workshop

_MOST_DRAWN = 400
# What nobody asked for yet is drawn for so long at most after a creature, and not where one takes longer than this.
_AHEAD_S, _AHEAD_MOST_S = 60.0, 12.0
_LOOK_S = 0.1


@dataclass(frozen=True)
class Creature:
    """A picture that was made: what was asked for, the file, its fuser's remarks, and how the page stood."""

    ask: Ask
    file: str
    fuser: str
    size: tuple[int, int]
    remarks: tuple[str, ...] = ()
    options: Mapping[tuple[str, ...], Any] = field(default_factory=dict)
    took_s: float = 0.0
    parents: tuple[Slot | None, ...] = ()
    masks: tuple[str, ...] = ()
    looks: tuple[dict[str, Any], ...] = ()

    @property
    def shares(self) -> list[float]:
        """Where the sliders stood, in per cent by place."""
        weights = iter(self.ask.weights)
        return [float(round(100 * next(weights, 0.0), 1)) if slot else 0.0 for slot in self.parents]


@dataclass
class Session:
    """One tab: parents, fuser and options as they stand, the creature that is shown, and those before."""

    parents: list[Slot | None] = field(default_factory=lambda: [None] * MAX_PARENTS)
    masks: list[str] = field(default_factory=lambda: ["auto"] * MAX_PARENTS)
    looks: list[dict[str, Any]] = field(default_factory=lambda: [{} for _ in range(MAX_PARENTS)])
    fuser: str = ""
    preset: str = ""
    options: dict[tuple[str, ...], Any] = field(default_factory=dict)
    shares: list[float] = field(default_factory=lambda: [50.0, 50.0, 0.0])
    seed: int = 0
    size: int | None = DEFAULT_SIZE
    background: str = "keep"
    shown: Creature | None = None
    history: list[Creature] = field(default_factory=list)
    job: Job | None = None
    ahead: Job | None = None
    turn: int = 0
    stops: int = 0
    clicks: list[tuple[str, int, float, float]] = field(default_factory=list)

    @property
    def filled(self) -> list[int]:
        """The places where there is a parent."""
        return [k for k, slot in enumerate(self.parents) if slot is not None]

    def standing(self) -> tuple[list[Any], ...]:
        """Give parents, masks, what was found, and hints as they are."""
        hints = [(path, self.options.get((path,))) for path in ("head_box", "neck")]
        return list(self.parents), list(self.masks), list(self.looks), hints

    def stand(self, before: tuple[list[Any], ...], k: int) -> None:
        """Put one parent back as it was."""
        parents, masks, looks, hints = before
        self.parents[k], self.masks[k], self.looks[k] = parents[k], masks[k], looks[k]
        for path, lines in hints:
            if lines is not None:
                self.options[(path,)] = lines

    @property
    def missing(self) -> str:
        """What is to be done before a creature can be made; empty: nothing."""
        if self.parents[0] is not None and self.parents[1] is not None:
            return ""
        if not self.filled:
            return "Drop two photographs, or type the names of two animals."
        return f"Drop the {'first' if self.parents[0] is None else 'second'} animal, too, or type its name."

    def restore(self, creature: Creature) -> None:
        """Set everything that a creature was made of."""
        self.parents, self.masks = list(creature.parents), list(creature.masks)
        self.looks, self.shares = [dict(look) for look in creature.looks], creature.shares
        ask = creature.ask
        self.fuser, self.preset, self.options = ask.fuser, ask.preset, dict(creature.options)
        self.seed, self.size, self.background, self.clicks = ask.seed, ask.size, ask.background, []

    def restore_weights(self) -> bool:
        """Set the weights and the seed of the creature that is shown, if it is one of these parents; say whether it is."""
        if self.shown is None or list(self.shown.parents) != self.parents:
            return False
        self.shares, self.seed = self.shown.shares, self.shown.ask.seed
        return True

    def ask(self) -> Ask:
        """Give what is asked for as the page stands.

        Raises:
            ConfigError: if there are no two parents.
        """
        if self.missing:
            raise ConfigError(self.missing)
        slots = [self.parents[k] for k in self.filled]
        shares = [self.shares[k] for k in self.filled]
        weights = (
            weights_of_line(self.shares[self.filled[1]]) if len(slots) == 2 else weights_of_three(shares)
        )
        masks = tuple(self.masks[k] for k in self.filled)
        return Ask(
            parents=tuple(slot.word for slot in slots if slot),
            weights=weights,
            seed=self.seed,
            size=self.size,
            fuser=self.fuser,
            preset=self.preset,
            options=nested(self.options),
            masks=masks if any(mask != "auto" for mask in masks) else (),
            background=self.background,
        )

    def looking(self) -> dict[str, Any]:
        """Give the arguments of a look at the parents that are there."""
        slots = [(k, self.parents[k]) for k in self.filled]
        ask = Ask(
            parents=tuple(slot.word for _, slot in slots if slot),
            weights=(),
            seed=self.seed,
            size=self.size,
            fuser=self.fuser,
            preset=self.preset,
            options=nested(self.options),
            masks=tuple(self.masks[k] for k, _ in slots),
        )
        return {"arguments": ask.arguments(), "places": [k for k, _ in slots]}


class Studio:
    """What all tabs share: the worker, the fusers there are, and the pictures drawn so far.

    Args:
        folder: the private one.
        host: the installed plugins.
    """

    def __init__(self, folder: Path, host: PluginHost) -> None:
        self.folder, self.host = folder, host
        self.workshop = Workshop(folder)
        self._classes = self.workshop.put("facts")
        self.workshop.put("warm", is_urgent=False)
        self._drawn: OrderedDict[str, Creature] = OrderedDict()
        self._reasons: dict[tuple[object, ...], str] = {}
        self._lock = threading.Lock()

    def fusers(self) -> list[FuserFacts]:
        """List the fusers there are; the first call waits for the worker."""
        self._classes.wait()
        return list_fusers(self.host, self._classes.result.get("fusers", []))

    def flags(self, session: Session) -> list[Flag]:
        """List the options of a tab's fuser."""
        return flags_for(self.host, session.fuser, session.preset)

    def look(self, session: Session) -> Job:
        """Let the parents be looked at."""
        return self.workshop.put("look", **session.looking())

    def drawn(self, ask: Ask) -> Creature | None:
        """Give a picture that was drawn before."""
        with self._lock:
            creature = self._drawn.get(ask.identity)
            if creature is None or not Path(creature.file).is_file():
                return None
            self._drawn.move_to_end(ask.identity)
            return creature

    def draw(self, session: Session, ask: Ask, *, is_urgent: bool = True) -> Job:
        """Order a picture."""
        return self.workshop.put(
            "draw",
            is_urgent=is_urgent,
            arguments=ask.arguments(),
            weights=list(ask.weights),
            name=f"{ask.identity}/{title_of(ask)}",
        )

    def drawing(self, session: Session, ask: Ask, *, is_urgent: bool = True) -> Iterator[Job | Creature]:
        """Draw a picture, or give it at once: the job now and then while it works, at last the creature.

        Raises:
            ChimeraError: in one line, if it cannot be made.
        """
        if (creature := self.drawn(ask)) is not None:
            yield creature
            return
        places = _places(session, ask)
        job = self.draw(session, ask, is_urgent=is_urgent)
        if is_urgent:
            session.job = job
        else:
            session.ahead = job
        while not job.wait(_LOOK_S):
            yield job
        if job.state == "done":
            yield self._keep(ask, job, places)
        elif job.state == "failed":
            raise ConfigError(job.error)
        else:
            yield job

    def _keep(self, ask: Ask, job: Job, places: Mapping[str, Any]) -> Creature:
        result = job.result
        took_s = time.monotonic() - (job.begun or time.monotonic())
        chosen = [f"fuser: {result['chosen']}"] if result["chosen"] else []
        remarks = self._with_reason(ask, [*chosen, *job.remarks, *result["pictures"]])
        creature = Creature(
            ask, result["file"], result["fuser"], tuple(result["size"]), remarks, took_s=took_s, **places
        )
        with self._lock:
            self._drawn[ask.identity] = creature
            while len(self._drawn) > _MOST_DRAWN:
                _, oldest = self._drawn.popitem(last=False)
                remove_tree(Path(oldest.file).parent, within=self.folder)
        return creature

    def _with_reason(self, ask: Ask, remarks: Sequence[str]) -> tuple[str, ...]:
        """Add why a fuser was chosen, which it says once for the same parents."""
        key = (ask.parents, ask.masks, ask.fuser, repr(ask.options))
        reason = next((line for line in remarks if line.startswith("fuser: ")), None)
        if reason is None and key in self._reasons:
            return (self._reasons[key], *remarks)
        if reason is not None:
            self._reasons[key] = reason
        return tuple(remarks)

    def draw_ahead(self, session: Session, steps: Sequence[Sequence[float]]) -> None:
        """Draw neighbours of the creature shown while nobody waits, so that the slider finds them made."""
        shown, turn = session.shown, (session.turn, session.stops)
        if shown is None or shown.took_s > _AHEAD_MOST_S:
            return

        def work() -> None:
            end = time.monotonic() + _AHEAD_S
            for weights in steps:
                if (session.turn, session.stops) != turn or time.monotonic() > end:
                    return
                try:
                    for _ in self.drawing(session, shown.ask.at(weights), is_urgent=False):
                        pass
                except ChimeraError:
                    return

        threading.Thread(target=work, daemon=True, name="studio-ahead").start()

    def sweep(self, ask: Ask, frames: int) -> list[Ask]:
        """Ask for the pictures of a sweep, from the first parent to the others, as ``chimera fuse --sweep`` goes."""
        return [ask.at(weights) for weights in sweep_weights(ask.weights, frames)]

    def stop(self, session: Session) -> None:
        """Stop what a tab waits for, and what is drawn ahead for it."""
        session.stops += 1
        for job in (session.job, session.ahead):
            if job is not None:
                self.workshop.stop(job)


def _places(session: Session, ask: Ask) -> dict[str, Any]:
    """Give how the page stands, for a creature to bring back: another fuser has none of the options set there."""
    shown = session.shown
    stands: Session | Creature = session
    words = tuple(slot.word for slot in session.parents if slot)
    if words != ask.parents and shown is not None and shown.ask.parents == ask.parents:
        stands = shown  # drawn ahead for it, while other parents were put there
    return {
        "options": dict(stands.options) if ask.options == nested(stands.options) else {},
        "parents": tuple(stands.parents),
        "masks": tuple(stands.masks),
        "looks": tuple(dict(look) for look in stands.looks),
    }
