"""The creature: one button, the weight to turn, progress with time left, and a way to stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.studio.asks import Ask
from chimera_core.studio.look import plain, working, wrong
from chimera_core.studio.session import Creature, Session, Studio
from chimera_core.studio.weights import STEP, balanced, caption, near_first, weights_of_line
from chimera_core.studio.workshop import Job

if TYPE_CHECKING:
    from chimera_core.studio.page_fuser import FuserPart
    from chimera_core.studio.page_keep import KeepPart
    from chimera_core.studio.page_more import MorePart
    from chimera_core.studio.page_parents import ParentsPart

# So long the slider must rest before what was not drawn yet is begun.
_REST_S = 0.2
_SHOW_EVERY_S = 0.25
_FIRST = "Drop two photographs, then press the button: your creature appears below."
_LINE, _CANCEL = "How much of the second animal (%)", "Cancel"


class CreaturePart:
    """The picture, the weights and the button."""

    keep: KeepPart
    more: MorePart
    parents: ParentsPart
    fuser: FuserPart

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        gr.Markdown("## 3. Make it, and turn the weight", elem_classes="step")
        with gr.Row():
            self.make = gr.Button(
                "Make the creature", variant="primary", interactive=False, elem_id="make", scale=4
            )
            self.cancel = gr.Button(_CANCEL, interactive=False, elem_id="cancel", scale=1, min_width=90)
        self.status = gr.HTML(plain(_FIRST), padding=False, elem_id="status")
        self.stage = gr.Image(
            label="Creature",
            interactive=False,
            type="filepath",
            format="png",
            height=420,
            buttons=["fullscreen"],
            elem_id="stage",
            alt_text="The creature, once it is made",
        )
        self.why = gr.HTML(padding=False, elem_id="why")
        self.line = gr.Slider(
            0,
            100,
            value=50,
            step=STEP,
            label=_LINE,
            elem_id="weight",
            interactive=True,
        )
        with gr.Row(visible=False) as self.three:
            self.shares = [
                gr.Slider(0, 100, value=33, step=1, label=label, elem_id=f"share-{k + 1}", min_width=120)
                for k, label in enumerate(("First (%)", "Second (%)", "Third (%)"))
            ]
        self.roles = gr.HTML(padding=False, elem_id="roles", elem_classes="caption")

    @property
    def outputs(self) -> list[Any]:
        """What drawing may change."""
        return [
            self.stage,
            self.status,
            self.why,
            self.make,
            self.cancel,
            self.line,
            self.three,
            *self.shares,
            self.roles,
            *(self.keep.outputs if hasattr(self, "keep") else []),
        ]

    def wire(self, session: Any) -> None:
        """Let the button draw, the sliders turn, and Cancel stop."""
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }
        every = self.outputs
        self.make.click(lambda held: (yield from self.draw(held)), [session], every, **quiet)
        self.cancel.click(self._stop, [session], [self.status, self.cancel], **{**quiet, "queue": False})
        self.line.input(
            lambda share, held: (yield from self._turn(held, share)),
            [self.line, session],
            every,
            trigger_mode="multiple",
            **quiet,
        )
        for k, slider in enumerate(self.shares):
            slider.input(
                lambda a, b, c, held, k=k: (yield from self._balance(held, (a, b, c), k)),
                [*self.shares, session],
                every,
                trigger_mode="multiple",
                **quiet,
            )

    @property
    def everything(self) -> list[Any]:
        """What a creature of before may change: all that it was made of."""
        return [*self.outputs, *self.fuser.outputs, *self.parents.outputs]

    def controls(self, held: Session) -> dict[Any, Any]:
        """Give the button and sliders as they are for the parents that are there."""
        is_ready = not held.missing
        ready = "Ready: press the button." if held.shown is None else "Press Make it again."
        return {
            self.make: gr.update(interactive=is_ready),
            self.status: plain(ready if is_ready else held.missing),
            **self.sliders(held),
        }

    def outdated(self, held: Session) -> dict[Any, Any]:
        """Say that the picture does not show a correction yet."""
        again = held.shown is not None and not held.missing
        return {self.status: plain("Press Make it again to see the correction.")} if again else {}

    def sliders(self, held: Session) -> dict[Any, Any]:
        """Give the sliders as a tab holds them."""
        names = [
            _short(Path(slot.shown).stem if slot.is_file else slot.shown) for slot in held.parents if slot
        ]
        count = len(names)
        shown: dict[Any, Any] = {self.three: gr.update(visible=count == 3), self.roles: ""}
        if count == 3:
            shown[self.line] = gr.update(visible=False)
            for k, slider in enumerate(self.shares):
                shown[slider] = gr.update(value=round(held.shares[k]), label=names[k])
        else:
            label = f"{names[0]} (left) to {names[1]} (right), %" if count == 2 else _LINE
            shown[self.line] = gr.update(visible=True, value=held.shares[1], label=label)
        return shown

    def working(self, is_working: bool) -> dict[Any, Any]:
        """Give the way to stop what is drawn."""
        return {self.cancel: gr.update(value=_CANCEL, interactive=is_working)}

    def back(self, held: Session, creature: Creature) -> dict[Any, Any]:
        """Bring a creature back, and all controls to what it was made of."""
        held.turn += 1
        held.restore(creature)
        return {
            **self.parents.shown(held),
            **self.fuser.shown(held),
            **self.sliders(held),
            **self.shown(held, creature),
        }

    def stopped(self, held: Session, text: str) -> dict[Any, Any]:
        """Say how drawing ended without a creature; the sliders say again what the picture shows."""
        sliders: dict[Any, Any] = {}
        if held.restore_weights():
            sliders = self.sliders(held)
        if held.shown is not None and (held.missing or held.ask() != held.shown.ask):
            text += plain(" The picture below was made of other settings than those that stand here.")
        return {self.status: text, **self.working(False), **sliders}

    def draw(self, held: Session, ask: Ask | None = None, *, rest_s: float = 0.0) -> Iterator[Any]:
        """Draw what the page stands for, or another creature, and show it; the last one asked for is shown."""
        held.turn += 1
        turn = held.turn
        try:
            ask = ask or held.ask()
        except ChimeraError as error:
            yield {self.status: wrong(str(error))}
            return
        if held.job is not None and not held.job.is_over:
            self.studio.workshop.stop(held.job)
        if rest_s and self.studio.drawn(ask) is None:
            time.sleep(rest_s)
            if held.turn != turn:
                return
        shown_at = 0.0
        try:
            for step in self.studio.drawing(held, ask):
                if held.turn != turn:
                    if isinstance(step, Job):
                        self.studio.workshop.stop(step)
                    return
                if isinstance(step, Creature):
                    yield self.shown(held, step)
                    self._draw_ahead(held)
                elif step.state == "stopped":
                    yield self.stopped(held, plain("Stopped."))
                elif time.monotonic() - shown_at > _SHOW_EVERY_S:
                    shown_at = time.monotonic()
                    ahead = self.studio.workshop.ahead_of(step)
                    yield {self.status: working(step, "Drawing", ahead), **self.working(True)}
        except ChimeraError as error:
            yield self.stopped(held, wrong(str(error)))

    def shown(self, held: Session, creature: Creature) -> dict[Any, Any]:
        """Show a creature, and what to keep of it."""
        held.shown = creature
        if creature not in held.history:
            held.history.append(creature)
            del held.history[:-100]
        names = [slot.shown for slot in creature.parents if slot]
        alt = (
            f"A creature of {', '.join(names)}, weights {caption(creature.ask.weights)}, by {creature.fuser}"
        )
        took = f" in {creature.took_s:.1f} s" if creature.took_s else ""
        return {
            self.stage: gr.update(value=creature.file, alt_text=alt),
            self.status: plain(f"Done{took}. {caption(creature.ask.weights)}, seed {creature.ask.seed}."),
            self.why: plain(why(creature)),
            self.roles: plain(self._roles(creature)) if len(creature.ask.weights) > 2 else "",
            **self.working(False),
            self.make: gr.update(value="Make it again", interactive=not held.missing),
            **self.keep.shown(held, creature),
        }

    def _roles(self, creature: Creature) -> str:
        """Say what each parent gives: by the fuser's remark, else by its summary."""
        for line in creature.remarks:
            name, bracket, reason = line.partition(" (")
            if bracket and name == f"fuser: {creature.fuser.split(':')[-1]}" and " of " in reason:
                return f"{reason[:1].upper()}{reason[1:].rstrip(')')}."
        facts = next((f for f in self.studio.fusers() if f.name == creature.fuser), None)
        return f"{facts.label}: {facts.summary}." if facts and facts.summary else ""

    def _draw_ahead(self, held: Session) -> None:
        if held.shown is not None and len(held.shown.ask.weights) == 2:
            share = 100 * held.shown.ask.weights[1]
            self.studio.draw_ahead(held, [weights_of_line(near) for near in near_first(share)])

    def _turn(self, held: Session, share: float) -> Iterator[Any]:
        held.shares = [100 - share, share, share]
        for place in held.filled[1:]:
            held.shares[place] = share
        if held.shown is not None:
            yield from self.draw(held, rest_s=_REST_S)

    def _balance(self, held: Session, shares: tuple[float, ...], moved: int) -> Iterator[Any]:
        held.shares = list(balanced(shares, moved))
        yield {s: held.shares[k] for k, s in enumerate(self.shares) if k != moved}
        if held.shown is not None:
            yield from self.draw(held, rest_s=_REST_S)

    def _stop(self, held: Session) -> tuple[Any, Any]:
        self.studio.stop(held)
        return plain("Stopping ..."), gr.update(value=_CANCEL, interactive=False)


def why(creature: Creature) -> str:
    """Say which fuser worked and why, and whatever else it remarked."""
    lines = [line for line in dict.fromkeys(creature.remarks) if line]
    if not any(line.startswith("fuser:") for line in lines):
        lines.insert(0, f"fuser: {creature.fuser}")
    return " · ".join(line[:1].upper() + line[1:] for line in lines)


def _short(name: str) -> str:
    return name if len(name) < 22 else name[:19] + "..."
