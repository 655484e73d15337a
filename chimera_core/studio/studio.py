"""What all tabs of the page share: the worker, the fusers there are, and the pictures drawn. Torch-free, and knows no Gradio."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.own_folders import remove_tree
from chimera_core.fusing.weights import sweep_weights
from chimera_core.models.fusers import choose_model, is_class_name
from chimera_core.options.flags import Flag
from chimera_core.plugins.discovery import PluginHost
from chimera_core.studio.asks import Ask
from chimera_core.studio.captions import reason_of
from chimera_core.studio.creature import Creature
from chimera_core.studio.fuser_options import FuserFacts, flags_for, list_fusers, nested
from chimera_core.studio.keep import title_of
from chimera_core.studio.session import HINTS, Session
from chimera_core.studio.workshop import Job, Workshop

_MOST_DRAWN, _MOST_SESSIONS = 400, 50
# What nobody asked for yet is drawn for so long at most after a creature, and not where one takes longer than this.
_AHEAD_S, _AHEAD_MOST_S = 60.0, 12.0
_LOOK_S = 0.1
_HINTED = {"head_box": "heads", "neck": "necks"}


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
        self._took_s: dict[tuple[str, int | None], float] = {}
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def fusers(self) -> list[FuserFacts]:
        """List the fusers there are; the first call waits for the worker."""
        self._classes.wait()
        return list_fusers(self.host, self._classes.result.get("fusers", []))

    def flags(self, session: Session) -> list[Flag]:
        """List the options of a tab's fuser."""
        return flags_for(self.host, session.fuser, session.preset)

    def remember(self, token: str, session: Session) -> None:
        """Keep what a tab holds, so that it finds it again when its page is loaded anew."""
        with self._lock:
            self._sessions[token] = session
            self._sessions.move_to_end(token)
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def remembered(self, token: str) -> Session | None:
        """Give what a tab held before its page was loaded anew."""
        with self._lock:
            return self._sessions.get(token)

    def look(self, session: Session, *, chooses: bool = False) -> Job:
        """Let the parents be looked at.

        Args:
            chooses: let the automatic choice be made, too, which takes longer.
        """
        return self.workshop.put("look", chooses=chooses, **session.looking())

    def note_choice(self, session: Session, job: Job) -> None:
        """Note which fuser a look chose for the parents that are there, and why."""
        line = next((line for line in job.remarks if line.startswith("fuser: ")), "")
        if line and not session.missing:
            self._reasons[_reason_key(session.ask())] = line

    def choice(self, session: Session) -> str:
        """Give which fuser is chosen for the parents that are there, and why; empty where that is not known."""
        return "" if session.missing else self._reasons.get(_reason_key(session.ask()), "")

    def reason(self, session: Session) -> str:
        """Give what the fuser takes of each parent, in its own words; empty where that is not known."""
        return reason_of([self.choice(session)])

    def facts(self, fuser: str) -> FuserFacts | None:
        """Give what is listed of a fuser."""
        return next((facts for facts in self.fusers() if facts.name == fuser), None)

    def drop_useless_hints(self, session: Session) -> None:
        """Take back hints where a trained model is chosen for these names: it looks at no photograph's head."""
        words = [slot.word for slot in session.parents if slot]
        if not session.fuser and any(map(is_class_name, words)) and choose_model(self.host, words):
            for option in HINTS:
                session.options.pop((option,), None)

    def why_no_hint(self, session: Session, option: str) -> str:
        """Say why a hint changes nothing in the creature; empty where the fuser takes it.

        Args:
            option: the hint, such as ``head_box``.
        """
        chosen = self.choice(session).removeprefix("fuser:").partition(" (")[0].strip()
        try:
            flags = flags_for(self.host, chosen) if chosen and not session.fuser else self.flags(session)
        except ChimeraError:  # a name that is none of ours: it says itself what it takes
            return ""
        if any(flag.path == (option,) and flag.multiple for flag in flags):
            return ""
        what = _HINTED.get(option, option)
        if chosen and not session.fuser:
            return (
                f"{chosen}, which Automatic takes for these photographs, does not look at {what}: "
                "this changes nothing in the creature."
            )
        return f"This method does not look at {what}: choose parts or Automatic."

    def expected_s(self, fuser: str, size: int) -> tuple[float, bool] | None:
        """Say how long a picture of a size takes, by those drawn so far.

        Returns:
            Seconds, and whether one of that size was drawn: else they are for as many times the pixels, which is the
            most that is likely. None where nothing was drawn by that fuser.
        """
        took_s = {drawn: s for (name, drawn), s in self._took_s.items() if name == fuser and drawn}
        if size in took_s:
            return took_s[size], True
        if not took_s:
            return None
        nearest = min(took_s, key=lambda drawn: abs(drawn - size))
        return took_s[nearest] * (size / nearest) ** 2, False

    def drawn(self, ask: Ask) -> Creature | None:
        """Give a picture that was drawn before."""
        with self._lock:
            creature = self._drawn.get(ask.identity)
            if creature is None or not Path(creature.file).is_file():
                return None
            self._drawn.move_to_end(ask.identity)
            return creature

    def is_coming(self, session: Session, ask: Ask) -> bool:
        """Say whether a picture is there, or is drawn ahead at this moment."""
        return self.drawn(ask) is not None or self._ahead(session, ask) is not None

    def draw(self, session: Session, ask: Ask, *, is_urgent: bool = True) -> Job:
        """Order a picture; one that is drawn ahead at this moment is not drawn twice."""
        if is_urgent and (ahead := self._ahead(session, ask)) is not None:
            return ahead
        return self.workshop.put(
            "draw",
            is_urgent=is_urgent,
            arguments=ask.arguments(),
            weights=list(ask.weights),
            name=_file_name(ask),
        )

    def _ahead(self, session: Session, ask: Ask) -> Job | None:
        """Give the job that draws a picture ahead, if it is at work on it."""
        job = session.ahead
        is_it = job is not None and job.state == "working" and job.order["name"] == _file_name(ask)
        return job if is_it else None

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
        self._took_s[ask.fuser, ask.size] = took_s
        chosen = [f"fuser: {result['chosen']}"] if result["chosen"] else []
        remarks = self._with_reason(ask, [*chosen, *job.remarks, *result["pictures"]])
        creature = Creature(
            ask,
            result["file"],
            result["fuser"],
            tuple(result["size"]),
            remarks,
            took_s=took_s,
            names=tuple(result["names"]),
            **places,
        )
        with self._lock:
            creature = self._drawn.setdefault(ask.identity, creature)  # two may have waited for the same job
            while len(self._drawn) > _MOST_DRAWN:
                _, oldest = self._drawn.popitem(last=False)
                remove_tree(Path(oldest.file).parent, within=self.folder)
        return creature

    def _with_reason(self, ask: Ask, remarks: Sequence[str]) -> tuple[str, ...]:
        """Add why a fuser was chosen, which it says once for the same parents."""
        key = _reason_key(ask)
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


def _file_name(ask: Ask) -> str:
    """Name a picture's file below the folder of those made, without its ending."""
    return f"{ask.identity}/{title_of(ask)}"


def _reason_key(ask: Ask) -> tuple[object, ...]:
    """Give what decides which fuser is chosen."""
    return ask.parents, ask.masks, ask.fuser, ask.preset, repr(ask.options)


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
