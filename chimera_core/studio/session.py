"""What one tab of the page holds. Torch-free, and knows no Gradio."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from chimera_core.errors import ConfigError
from chimera_core.studio.asks import DEFAULT_SIZE, MAX_PARENTS, Ask
from chimera_core.studio.creature import Creature
from chimera_core.studio.fuser_options import nested
from chimera_core.studio.parents import Slot
from chimera_core.studio.weights import weights_of_line, weights_of_three
from chimera_core.studio.workshop import Job

HINTS = ("head_box", "neck")
"""Options that a click on a photograph sets, one line per parent."""


@dataclass
class Session:
    """One tab: parents, fuser and options as they stand, the creature that is shown, and those before."""

    parents: list[Slot | None] = field(default_factory=lambda: [None] * MAX_PARENTS)
    masks: list[str] = field(default_factory=lambda: ["auto"] * MAX_PARENTS)
    looks: list[dict[str, Any]] = field(default_factory=lambda: [{} for _ in range(MAX_PARENTS)])
    fuser: str = ""
    by_hand: str = ""
    """The fuser that the user chose in the list: others, such as one taken from Compare, go with their animals."""
    preset: str = ""
    options: dict[tuple[str, ...], Any] = field(default_factory=dict)
    shares: list[float] = field(default_factory=lambda: [50.0, 50.0, 0.0])
    seed: int = 0
    size: int | None = DEFAULT_SIZE
    background: str = "keep"
    shown: Creature | None = None
    history: list[Creature] = field(default_factory=list)
    listed: list[Creature] = field(default_factory=list)
    """What stands side by side under "See more", with a caption each."""
    captions: list[str] = field(default_factory=list)
    moving: str = ""
    """The file of the moving picture, and how it is called where it is saved."""
    job: Job | None = None
    ahead: Job | None = None
    turn: int = 0
    stops: int = 0
    clicks: list[tuple[str, int, float, float]] = field(default_factory=list)

    @property
    def filled(self) -> list[int]:
        """The places where there is a parent."""
        return [k for k, slot in enumerate(self.parents) if slot is not None]

    def standing(self) -> dict[str, Any]:
        """Give parents, and all that begins anew with others, as they are."""
        hints = {(path,): lines for path in HINTS if (lines := self.options.get((path,))) is not None}
        names = ("parents", "masks", "looks", "shares", "seed", "listed", "captions", "moving")
        return {name: copy(getattr(self, name)) for name in names} | {"hints": hints}

    def stand(self, before: dict[str, Any], k: int) -> None:
        """Put one parent back as it was, and what began anew with another one."""
        for name, value in before.items():
            if name in ("parents", "masks", "looks"):
                getattr(self, name)[k] = value[k]
            elif name != "hints":
                setattr(self, name, value)
        self.options |= before["hints"]

    def put(self, k: int, slot: Slot | None) -> None:
        """Put a parent in a place, or none: what was chosen for those before does not go on with others."""
        self.parents[k] = slot
        self.masks[k], self.looks[k], self.clicks = "auto", {}, []
        for path in HINTS:  # a hint was meant for the picture before
            lines = self.options.get((path,))
            if isinstance(lines, list) and k < len(lines):
                self.options[(path,)] = [*lines[:k], "auto", *lines[k + 1 :]]

    def begin_anew(self) -> None:
        """Go back to equal weights and the first choice, for other parents."""
        self.shares = [34.0, 33.0, 33.0] if len(self.filled) == MAX_PARENTS else [50.0] * MAX_PARENTS
        self.seed, self.listed, self.captions, self.moving = 0, [], [], ""

    def forget_method(self) -> bool:
        """Go back to the fuser that was chosen by hand, for other parents; say whether it was another one."""
        if self.fuser == self.by_hand:
            return False
        self.fuser, self.preset, self.options = self.by_hand, "", {}
        self.size = self.size or DEFAULT_SIZE
        return True

    def hint(self, option: str, k: int, value: str) -> None:
        """Set where the user says that one parent's head or neck is; the other hints stay as they are.

        Args:
            option: one of ``HINTS``.
            k: the parent's place.
            value: as the option takes it.
        """
        place = self.filled.index(k)
        lines = list(self.options.get((option,), []))
        lines += ["auto"] * (place + 1 - len(lines))
        lines[place] = value
        self.options[(option,)] = lines

    def forget_corrections(self) -> None:
        """Take back all hints and outlines of the user's."""
        for path in HINTS:
            self.options.pop((path,), None)
        self.masks, self.clicks = ["auto"] * MAX_PARENTS, []

    @property
    def is_of_these(self) -> bool:
        """Whether the creature that is shown was made of the parents that are there."""
        return self.shown is not None and list(self.shown.parents) == self.parents

    @property
    def names(self) -> list[str]:
        """What fusers call the parents that are there."""
        return [str(self.looks[k].get("name") or slot.shown) for k, slot in enumerate(self.parents) if slot]

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

    def take_over(self, other: Session) -> None:
        """Set all that another one has set; what was made so far stays."""
        self.turn += 1
        self.begin_anew()
        self.parents, self.masks, self.looks = other.parents, other.masks, other.looks
        self.fuser, self.preset, self.options = other.fuser, other.preset, other.options
        self.by_hand = other.fuser
        self.shares, self.seed, self.size, self.background = (
            other.shares,
            other.seed,
            other.size,
            other.background,
        )
        self.clicks = []

    def restore_weights(self) -> bool:
        """Set the weights and the seed of the creature that is shown, if it is one of these parents; say whether it is."""
        if self.shown is None or not self.is_of_these:
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
