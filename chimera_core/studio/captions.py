"""What the page says of animals and creatures, from what the fuser said that it did. Torch-free, and knows no Gradio."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from chimera_core.studio.asks import Ask
from chimera_core.studio.creature import Creature
from chimera_core.studio.parents import Slot
from chimera_core.studio.weights import caption

PLACES = ("First animal", "Second animal", "Third animal")
_GIVES = re.compile(r"\bthe (body|head|coat|layout|faces?) of\b")
_REASON = re.compile(r"fuser: (?P<fuser>[^(]+?) \((?P<reason>.*)\)", re.DOTALL)
_LONGEST = 22
# Of an equal weight, so much is needed to see more than a little of a parent, and nearly all.
_LITTLE, _ALL = 0.5, 0.75


def reason_of(remarks: Sequence[str]) -> str:
    """Give why a fuser was chosen and what it takes of each parent, of its remarks; empty where it said nothing."""
    return next((found["reason"] for line in remarks if (found := _REASON.fullmatch(line))), "")


def gives(reason: str, names: Sequence[str]) -> list[str]:
    """Give what each parent gives, by a fuser's own words such as "the body of llama, the head of tiger".

    Args:
        names: of the parents, as the fuser calls them.
    Returns:
        For each ``body``, ``head``, ``coat``, ``layout`` or ``face``; empty where the words say nothing of it.
    """
    found = [""] * len(names)
    phrases = list(_GIVES.finditer(reason))
    for k, phrase in enumerate(phrases):
        end = phrases[k + 1].start() if k + 1 < len(phrases) else len(reason)
        # What follows a comma is another thought: ", for the picture of cat cuts its head off".
        listed = reason[phrase.end() : end].partition(", for ")[0]
        is_many = phrase[1] == "faces"
        for i, name in enumerate(names):
            if not found[i] and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", listed):
                found[i] = phrase[1].removesuffix("s")
                if not is_many:
                    break
    return found


def titles(reason: str, names: Sequence[str], summary: str = "") -> list[str]:
    """Name the places of the parents after what will be made of them; neutral where that is not known.

    Args:
        reason: a fuser's for these parents, else empty.
        names: of the parents that are there, as the fuser calls them.
        summary: of a fuser that was chosen by hand: some say there what "the first" and "the second" give.
    Returns:
        One for each of ``PLACES``.
    """
    ordinals = ("first", "second", "third")
    given = gives(reason, names) if reason else gives(summary, ordinals)
    given += [""] * (len(PLACES) - len(given))
    return [f"{place}: {_words(part)}" if part else place for place, part in zip(PLACES, given, strict=True)]


def _words(part: str) -> str:
    return "gives its coat" if part == "coat" else f"gives the {part}"


def made_by(creature: Creature, summary: str = "") -> str:
    """Say which fuser worked and what it did, and whatever else it remarked.

    Args:
        summary: of the fuser, for one that says nothing itself.
    """
    lines = [line for line in dict.fromkeys(creature.remarks) if line]
    chosen = next((line for line in lines if line.startswith("fuser:")), "")
    lines = [line for line in lines if line != chosen]
    reason = as_weighed(reason_of([chosen]), creature.names, creature.ask.weights)
    fuser = chosen.removeprefix("fuser:").partition(" (")[0].strip() or creature.fuser
    told = reason or (summary if not chosen else "")
    said = [f"Made by {fuser}: {told}" if told else f"Made by {fuser}", *lines]
    said += [
        f"nothing of {name} is in it, for its weight is 0"
        for name, weight in list(zip(creature.names, creature.ask.weights, strict=False))[1:]
        if weight == 0
    ]
    return " · ".join(line[:1].upper() + line[1:] for line in said)


def as_weighed(reason: str, names: Sequence[str], weights: Sequence[float]) -> str:
    """Say in a fuser's words how much is there of what a parent gives; the first one's frame stays at any weight.

    Of equal weights all is there that the fuser says; of less a part, of far less a little, of none nothing.
    """
    even = 1 / max(1, len(weights))
    kept = []
    for part in reason.split(", "):
        others = list(zip(names, weights, strict=False))[1:]
        weight = next((weight for name, weight in others if part.endswith(f" of {name}")), even)
        if weight > 0:
            kept.append(f"{_how_much(weight / even)}{part}" if _GIVES.match(part) else part)
    return ", ".join(kept)


def _how_much(share: float) -> str:
    """Say how much of a thing is there, by its share of what equal weights would give."""
    return "a little of " if share < _LITTLE else "a part of " if share < _ALL else ""


def animals(parents: Sequence[Slot | None]) -> str:
    """Name the animals of a creature: ``llama + tiger``."""
    return " + ".join(short(slot) for slot in parents if slot)


def short(slot: Slot) -> str:
    """Name a parent in few letters."""
    name = Path(slot.shown).stem if slot.is_file else slot.shown
    return name if len(name) < _LONGEST else f"{name[: _LONGEST - 3]}..."


def alternative(ask: Ask) -> str:
    """Say which alternative it is; empty for the first choice."""
    return f"alternative {ask.seed + 1}" if ask.seed else ""


def in_short(creature: Creature) -> str:
    """Say in a line what a creature is: ``llama + tiger, 50 : 50, alternative 3``."""
    facts = (animals(creature.parents), caption(creature.ask.weights), alternative(creature.ask))
    return ", ".join(fact for fact in facts if fact)
