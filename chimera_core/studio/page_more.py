"""Alternatives, a sweep of weights and other fusers, side by side; one that pleases becomes the creature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.fusing.weights import sweep_weights
from chimera_core.studio.asks import Ask
from chimera_core.studio.captions import alternative
from chimera_core.studio.creature import Creature
from chimera_core.studio.fuser_options import AUTOMATIC, nested
from chimera_core.studio.keep import title_of
from chimera_core.studio.look import plain, scroll_to, working, wrong
from chimera_core.studio.page_gallery import CreatureGallery
from chimera_core.studio.page_keep import saved_as
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio
from chimera_core.studio.weights import caption

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart

ALTERNATIVES, FRAMES = 4, 7
_MOST_COMPARED = 6


class MorePart:
    """Three ways to see more than one creature."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        gr.Markdown("## 5. See more of them", elem_classes="step")
        with gr.Row():
            self.alternatives = gr.Button(f"{ALTERNATIVES} alternatives", elem_id="alternatives")
            self.sweep = gr.Button("From one to the other", elem_id="sweep")
            self.gif = gr.Button("Make a moving picture", elem_id="gif")
        with gr.Row(elem_id="compare-row"):
            self.others = gr.Dropdown(
                [],
                value=[],
                multiselect=True,
                label="Compare with other methods",
                max_choices=_MOST_COMPARED,
                elem_id="others",
                scale=4,
            )
            self.compare = gr.Button("Compare", elem_id="compare", scale=1, min_width=120)
        with gr.Row(elem_id="more-progress"):
            self.note = gr.HTML(padding=False, elem_id="more-note", elem_classes="caption")
            self.cancel = gr.Button(
                "Cancel", visible=False, size="sm", elem_id="more-cancel", scale=0, min_width=90
            )
        self.gallery = CreatureGallery(
            "Choose one to take it", name="gallery", columns=4, listed=lambda held: held.listed
        )
        self.moving = gr.Image(
            label="Moving picture",
            interactive=False,
            type="filepath",
            visible=False,
            height=320,
            buttons=["fullscreen"],
            elem_id="moving",
            alt_text="The creature, from one parent to the other and back",
        )
        self.keep_gif = gr.DownloadButton("Save the moving picture (GIF)", visible=False, elem_id="keep-gif")

    @property
    def outputs(self) -> list[Any]:
        """What other parents change."""
        return [self.gallery.view, self.moving, self.keep_gif, self.note]

    def shown(self, held: Session) -> dict[Any, Any]:
        """Show what a tab holds of all this."""
        moving: dict[str, Any] = {"value": held.moving or None, "visible": bool(held.moving)}
        return {
            **self.gallery.shown(held, held.captions),
            self.moving: gr.update(**moving),
            self.keep_gif: gr.update(**moving),
            self.note: "",
        }

    def cleared(self) -> dict[Any, Any]:
        """Take all of it away: it shows other parents."""
        return self.shown(Session())

    def wire(self, session: Any, *, creature: CreaturePart) -> None:
        """Let the buttons draw, and a chosen picture become the creature."""
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }
        shown = [self.note, self.cancel, self.gallery.view, creature.status, creature.cancel]

        def alternatives(held: Session) -> Iterator[Any]:
            yield from self._draw(
                held,
                lambda ask: [
                    (other := ask.with_seed(ask.seed + k), alternative(other) or "first choice")
                    for k in range(ALTERNATIVES)
                ],
                creature,
            )

        def sweep(held: Session) -> Iterator[Any]:
            yield from self._draw(
                held,
                lambda ask: [(ask.at(w), caption(w)) for w in rounded_sweep(ask.weights, FRAMES)],
                creature,
            )

        def compare(held: Session, names: list[str]) -> Iterator[Any]:
            labels = {f.name: f.label for f in self.studio.fusers()}
            wanted = list(dict.fromkeys([held.fuser, *(names or [])]))
            yield from self._draw(
                held,
                lambda ask: [
                    (ask if name == held.fuser else _by(ask, name), labels.get(name, name)) for name in wanted
                ],
                creature,
            )

        events = [
            self.alternatives.click(alternatives, [session], shown, **quiet),
            self.sweep.click(sweep, [session], shown, **quiet),
            self.compare.click(compare, [session, self.others], shown, **quiet),
        ]
        moved = self.gif.click(
            lambda held: (yield from self._move(held, creature)),
            [session],
            [*self.outputs, self.cancel, creature.status, creature.cancel],
            **quiet,
        )
        for event, shows in [*((event, "gallery") for event in events), (moved, "moving")]:
            event.then(None, js=scroll_to(shows))
        for button in (self.alternatives, self.sweep, self.compare, self.gif):
            button.click(None, js=scroll_to("more-progress"))
        self.cancel.click(lambda held: self.studio.stop(held), [session], None, **{**quiet, "queue": False})
        self.others.focus(self._offer, None, [self.others], **quiet)

        self.keep_gif.click(
            lambda held: saved_as(Path(held.moving).name or "it"), [session], [self.note], **quiet
        )
        self.gallery.wire(session, creature=creature)

    def _offer(self) -> Any:
        fusers = [f for f in self.studio.fusers() if f.name != AUTOMATIC and "photo" in f.accepts]
        return gr.update(choices=[(f.label, f.name) for f in fusers])

    def _draw(self, held: Session, asks_of: Any, creature: CreaturePart) -> Iterator[Any]:
        """Draw several, showing each as soon as it is there; what fails says why and leaves the others."""
        held.turn += 1
        turn = held.turn
        try:
            asks = asks_of(held.ask())
        except ChimeraError as error:
            yield {self.note: wrong(str(error))}
            return
        yield {creature.status: ""}  # what was drawn there is not wanted any more
        held.listed, held.captions = listed, captions = [], []
        failures: list[str] = []
        for k, (ask, label) in enumerate(asks):
            try:
                for step in self.studio.drawing(held, ask):
                    if isinstance(step, Creature):
                        listed.append(step)
                        captions.append(label)
                    elif step.state == "stopped" or held.turn != turn:
                        self.studio.workshop.stop(step)
                        yield {self.note: plain("Stopped."), **self._working(creature, False)}
                        return
                    else:
                        note = working(
                            step, f"Drawing {k + 1} of {len(asks)}", self.studio.workshop.ahead_of(step)
                        )
                        yield {self.note: note, **self._working(creature, True)}
            except ChimeraError as error:
                failures.append(f"{label}: {error}")
            if held.listed is not listed:  # other animals, or other pictures, meanwhile
                yield self._working(creature, False)
                return
            yield self.gallery.shown(held, captions)
        text = wrong("; ".join(failures)) if failures else plain("Choose one to take it.")
        yield {self.note: text, **self._working(creature, False)}

    def _working(self, creature: CreaturePart, is_working: bool) -> dict[Any, Any]:
        return {**creature.working(is_working), self.cancel: gr.update(visible=is_working)}

    def _move(self, held: Session, creature: CreaturePart) -> Iterator[Any]:
        """Write the GIF of a sweep, as ``chimera fuse --sweep`` does."""
        held.turn += 1
        parents = list(held.parents)
        try:
            ask = held.ask()
        except ChimeraError as error:
            yield {self.note: wrong(str(error))}
            return
        yield {creature.status: ""}
        steps = sweep_weights(ask.weights, FRAMES)
        job = self.studio.workshop.put(
            "gif", arguments=ask.arguments(), steps=steps, name=f"{ask.identity}/{title_of(ask)}"
        )
        held.job = job
        while not job.wait(0.25):
            note = working(job, "Drawing the moving picture", self.studio.workshop.ahead_of(job))
            yield {self.note: note, **self._working(creature, True)}
        if job.state == "done":
            if held.parents == parents:  # else it shows other animals than the page does
                held.moving = job.result["file"]
                yield {**self.shown(held), self.note: plain("Done: press Save below it to keep it.")}
        else:
            yield {self.note: wrong(job.error) if job.error else plain("Stopped.")}
        yield self._working(creature, False)


def rounded_sweep(weights: Sequence[float], frames: int) -> list[tuple[float, ...]]:
    """Give a sweep's weights in hundredths that sum to 1, which a command can repeat to the bit."""
    steps = []
    for step in sweep_weights(weights, frames):
        rounded = [round(w, 2) for w in step]
        rounded[-1] = round(1 - sum(rounded[:-1]), 2)
        steps.append(tuple(max(0.0, w) for w in rounded))
    return steps


def _by(ask: Ask, fuser: str) -> Ask:
    """Ask for the same of another fuser, with its own options."""
    from dataclasses import replace

    return replace(ask, fuser=fuser, preset="", options=nested({}))
