"""The creature: one button, the weight to turn, progress with time left, and a way to stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.studio.asks import DEFAULT_SIZE, SIZES, Ask
from chimera_core.studio.captions import alternative, animals, made_by, short
from chimera_core.studio.creature import Creature
from chimera_core.studio.look import plain, seconds, working, wrong
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio
from chimera_core.studio.weights import STEP, balanced, caption, near_first, weights_of_line
from chimera_core.studio.workshop import Job

if TYPE_CHECKING:
    from chimera_core.studio.page_fuser import FuserPart
    from chimera_core.studio.page_keep import KeepPart
    from chimera_core.studio.page_more import MorePart
    from chimera_core.studio.page_parents import ParentsPart

# So long the slider must rest before what was not drawn yet is begun.
_REST_S = 0.1
_SHOW_EVERY_S = 0.25
_FIRST = "Drop two photographs, then press the button: your creature appears below."
_AS_TRAINED = 0
_TIME = "Twice the size takes up to four times as long."
_BEFORE = " It is of the animals before."
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
        self.size = gr.Dropdown(
            _size_choices(DEFAULT_SIZE),
            value=DEFAULT_SIZE,
            label="Size of its shorter side",
            info=_TIME,
            elem_id="size",
        )
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
        self.first = gr.Button("Back to the first choice", size="sm", visible=False, elem_id="first-choice")
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
            self.first,
            self.size,
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
        self.first.click(lambda held: (yield from self._begin_with(held, 0)), [session], every, **quiet)
        self.size.input(self._resize, [self.size, session], [self.status], **quiet)
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
        return [*self.outputs, *self.fuser.outputs, *self.parents.outputs, *self.more.outputs]

    def controls(self, held: Session) -> dict[Any, Any]:
        """Give the button and sliders as they are for the parents that are there."""
        is_ready, shown = not held.missing, held.shown
        if shown is None:
            text = "Ready: press the button." if is_ready else held.missing
        elif held.is_of_these:
            text = "Press Make it again."
        else:
            text = (
                f"The picture below is of the animals before, {animals(shown.parents)}. "
                f"{'Press the button for the new ones.' if is_ready else held.missing}"
            )
        return {
            self.make: gr.update(interactive=is_ready),
            self.status: plain(text),
            self.stage: gr.update(label=_stage_label(shown, held.is_of_these)),
            **self._choice(held),
            **self.working(False),
            **self.sliders(held),
        }

    def _choice(self, held: Session) -> dict[Any, Any]:
        """Offer the way back from an alternative."""
        return {self.first: gr.update(visible=held.seed != 0)}

    def sliders(self, held: Session) -> dict[Any, Any]:
        """Give the sliders as a tab holds them."""
        names = [short(slot) for slot in held.parents if slot]
        count = len(names)
        shown: dict[Any, Any] = {self.three: gr.update(visible=count == 3)}
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
        more: dict[Any, Any] = {}
        if list(creature.parents) != held.parents:  # what is listed was made of others
            held.begin_anew()
            more = self.more.cleared()
        held.restore(creature)
        return {
            **more,
            **self.parents.shown(held),
            **self.fuser.shown(held),
            **self.sliders(held),
            **self.shown(held, creature),
        }

    def all_shown(self, held: Session) -> dict[Any, Any]:
        """Show all that a tab holds, on a page that was loaded anew."""
        held.turn += 1
        shown = {} if held.shown is None else self.shown(held, held.shown)
        if not held.is_of_these:
            shown |= self.controls(held)
        return {
            **self.parents.shown(held),
            **self.fuser.shown(held),
            **self.sliders(held),
            **self.more.shown(held),
            **shown,
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
        if rest_s and not self.studio.is_coming(held, ask):
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
                    shown = self.shown(held, step)
                    self._draw_ahead(held)  # while the page is still written
                    yield shown
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
        weights = caption(creature.ask.weights)
        alt = f"A creature of {animals(creature.parents)}, weights {weights}, by {creature.fuser}"
        took = f" in {seconds(creature.took_s)}" if creature.took_s else ""
        facts = ", ".join(filter(None, (weights, alternative(creature.ask))))
        summary = self.studio.facts(creature.fuser.split(":")[-1])
        return {
            **self._choice(held),
            self.stage: gr.update(
                value=creature.file, alt_text=alt, label=_stage_label(creature, held.is_of_these)
            ),
            self.status: plain(f"Done{took}. {facts}.{'' if held.is_of_these else _BEFORE}"),
            self.why: plain(made_by(creature, summary.summary if summary else "")),
            **self.sized(held),
            **self.working(False),
            self.make: gr.update(value="Make it again", interactive=not held.missing),
            **self.keep.shown(held, creature),
        }

    def sized(self, held: Session) -> dict[Any, Any]:
        """Show the sizes, with the time that each takes where that is known."""
        told = [
            f"{size} pixels: {'about' if is_measured else 'at most about'} {seconds(expected_s)}"
            for size in SIZES
            if (expected := self.studio.expected_s(held.fuser, size)) is not None
            for expected_s, is_measured in [expected]
        ]
        if held.size is None:
            own = "It makes the size that it was trained for."
            return {self.size: gr.update(choices=_size_choices(None), value=_AS_TRAINED, info=own)}
        how = f"{'; '.join(told)}." if told else _TIME
        return {self.size: gr.update(choices=_size_choices(held.size), value=held.size, info=how)}

    def _resize(self, size: int, held: Session) -> str:
        held.size = size or None
        return plain("Press Make it again for this size." if held.is_of_these else "")

    def _begin_with(self, held: Session, seed: int) -> Iterator[Any]:
        held.seed = seed
        yield from self.draw(held)

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


def _stage_label(creature: Creature | None, is_of_these: bool) -> str:
    before = "" if is_of_these else " of the animals before"
    return f"Creature{before}: {animals(creature.parents)}" if creature else "Creature"


def _size_choices(held: int | None) -> list[tuple[str, int]]:
    """List the sizes to choose from, with one that came from elsewhere, such as a saved ZIP."""
    sizes = sorted({*SIZES, held or DEFAULT_SIZE})
    as_trained = [("as it was trained", _AS_TRAINED)] if held is None else []
    return [*as_trained, *((f"{size} pixels", size) for size in sizes)]
