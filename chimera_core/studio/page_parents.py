"""Parents: two large places to drop photographs, names to type, examples; what was found is drawn over each."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.models.fusers import is_class_name
from chimera_core.studio.asks import MAX_PARENTS
from chimera_core.studio.look import plain, scroll_to, working, wrong
from chimera_core.studio.page_corrections import CorrectionsPart
from chimera_core.studio.parents import (
    Slot,
    example_parents,
    is_known,
    known_names,
    take_upload,
    unknown_name,
)
from chimera_core.studio.photograph import Photograph
from chimera_core.studio.session import Session, Studio

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart
    from chimera_core.studio.page_fuser import FuserPart

TITLES = ("First animal: gives the body", "Second animal: gives the head", "Third animal: gives its coat")
LEGEND = (
    '<p class="legend">Drawn over each: <i class="outline"></i>outline <i class="head"></i>head <i class="neck"></i>neck '
    '<i class="face"></i>face</p>'
)
DROP = "# Drop a photograph here\nor click to choose one"
_LOOK_S = 0.2


class ParentsPart:
    """The places for parents."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.images: list[Any] = []
        self.names: list[Any] = []
        self.captions: list[Any] = []
        self.columns: list[Any] = []
        gr.Markdown("## 1. Choose two animals, or three", elem_classes="step")
        known = known_names(studio.host)
        with gr.Row():
            for k in range(MAX_PARENTS - 1):
                self._place(k, known)
        self.add = gr.Button("Add a third animal", size="sm", elem_id="add-third")
        with gr.Column(visible=False) as self.third:
            self._place(2, known)
            self.remove = gr.Button("Remove the third animal", size="sm", elem_id="remove-third")
        gr.HTML(LEGEND, padding=False, elem_id="legend")
        with gr.Row(elem_id="examples"):
            self.examples = [
                (gr.Button(f"Try: {title}", size="sm"), names)
                for title, names in example_parents(studio.host)
            ]
        self.corrections = CorrectionsPart(studio)

    def _place(self, k: int, known: list[str]) -> None:
        with gr.Column(min_width=150) as column:
            image = Photograph(
                label=TITLES[k],
                sources=["upload", "clipboard", "webcam"],
                type="filepath",
                height=260 if k < 2 else 200,
                placeholder=DROP,
                buttons=["fullscreen"],
                elem_id=f"parent-{k + 1}",
                alt_text=TITLES[k],
            )
            caption = gr.HTML(padding=False, elem_classes="caption", elem_id=f"found-{k + 1}")
            name = gr.Dropdown(
                known,
                value=None,
                label="or type a name",
                info="a picture on this machine",
                allow_custom_value=True,
                elem_id=f"name-{k + 1}",
            )
        self.columns.append(column)
        self.images.append(image)
        self.captions.append(caption)
        self.names.append(name)

    @property
    def outputs(self) -> list[Any]:
        """What a look may change."""
        return [*self.images, *self.captions, *self.names, self.third, self.add]

    def shown(self, held: Session) -> dict[Any, Any]:
        """Show the parents as a tab holds them."""
        shown: dict[Any, Any] = {}
        for k in range(MAX_PARENTS):
            shown |= self._place_shown(held, k)
        has_third = held.parents[2] is not None
        return {
            **shown,
            self.third: gr.update(visible=has_third),
            self.add: gr.update(visible=not has_third),
        }

    def _place_shown(self, held: Session, k: int) -> dict[Any, Any]:
        """Show one parent, and what was found."""
        slot, found = held.parents[k], held.looks[k]
        text = f"{slot.shown}: {found['text']}" if slot and found else slot.shown if slot else ""
        alt = f"{slot.shown}. {found['text']}" if slot and found else TITLES[k]
        return {
            self.images[k]: gr.update(value=found.get("file") or None, alt_text=alt),
            self.captions[k]: plain(text) if text else "",
            self.names[k]: slot.word if slot and not slot.is_file else None,
        }

    def wire(self, session: Any, *, fuser: FuserPart, creature: CreaturePart) -> None:
        """Let the places do what they are for."""
        studio = self.studio
        every = [*self.outputs, *creature.outputs, *self.corrections.outputs, *creature.more.moved]
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }

        def dropped(k: int, given: dict[str, str] | None, held: Session) -> Iterator[Any]:
            if given is None:
                return
            try:
                slot = take_upload(studio.folder, Path(given["path"]), given["name"])
            except ChimeraError as error:
                yield {**self._place_shown(held, k), self.captions[k]: wrong(str(error))}
                return
            yield from placed(k, slot, held)

        def named(k: int, name: str | None, held: Session) -> Iterator[Any]:
            name = (name or "").strip()
            if not name:
                return
            if len(name) > 100 or not is_class_name(name):
                yield {**self._place_shown(held, k), self.captions[k]: wrong(unknown_name(studio.host, name))}
                return
            yield from placed(k, Slot(name, name, False), held)

        def placed(k: int, slot: Slot, held: Session) -> Iterator[Any]:
            """Put a parent in its place and look; one that cannot be read leaves the one that was there."""
            before = held.standing()
            self._put(held, k, slot)
            error = yield from self.look(held, at=k)
            if held.parents[k] is not slot:  # another one was put there meanwhile
                return
            if error:
                held.stand(before, k)
                if not slot.is_file and not is_known(studio.host, slot.word):
                    error = unknown_name(studio.host, slot.word)
                yield {**self._place_shown(held, k), self.captions[k]: wrong(error)}
                return
            yield {**self._place_shown(held, k), **self._changed(held, creature)}

        def cleared(k: int, held: Session) -> dict[Any, Any]:
            self._put(held, k, None)
            return {**self._place_shown(held, k), **self._changed(held, creature)}

        def example(names: tuple[str, ...], held: Session) -> Iterator[Any]:
            for k in range(MAX_PARENTS):
                self._put(held, k, Slot(names[k], names[k], False) if k < len(names) else None)
            yield {**self.shown(held), **self._changed(held, creature)}
            yield from self.look(held)
            yield from creature.draw(held)

        for k in range(MAX_PARENTS):
            gr.on(
                self.images[k].upload,
                lambda given, held, k=k: (yield from dropped(k, given, held)),
                [self.images[k], session],
                every,
                **quiet,
            )
            self.images[k].clear(lambda held, k=k: cleared(k, held), [session], every, **quiet)
            self.names[k].input(
                lambda name, held, k=k: (yield from named(k, name, held)),
                [self.names[k], session],
                every,
                **quiet,
            )
        for button, names in self.examples:
            button.click(None, js=scroll_to("make"))
            button.click(
                lambda held, names=names: (yield from example(names, held)), [session], every, **quiet
            )
        self.add.click(
            lambda: {self.third: gr.update(visible=True), self.add: gr.update(visible=False)},
            outputs=[self.third, self.add],
            **quiet,
        )
        self.remove.click(
            lambda held: {
                **cleared(2, held),
                self.third: gr.update(visible=False),
                self.add: gr.update(visible=True),
            },
            [session],
            every,
            **quiet,
        )
        self.corrections.wire(session, parents=self, fuser=fuser, creature=creature)

    def look(self, held: Session, *, at: int | None = None) -> Generator[Any, None, str]:
        """Let the worker look at the parents, and show what it found; give what went wrong, if anything did.

        Args:
            at: the place that was changed, whose line says what goes on; None: those where nothing was found yet.
        """
        if not held.filled:
            return ""
        job = self.studio.look(held)
        asked = list(held.parents)
        new = [k for k in held.filled if not held.looks[k]] if at is None else [at]
        while not job.wait(_LOOK_S):
            if new:
                yield {self.captions[k]: working(job, "Looking for the animal") for k in new}
        if job.state != "done":
            lines = {k: self._place_shown(held, k)[self.captions[k]] for k in new}
            if job.error:
                lines[new[-1] if new else held.filled[-1]] = wrong(job.error)
            yield {self.captions[k]: line for k, line in lines.items()}
            return job.error
        shown: dict[Any, Any] = {}
        for found in job.result["parents"]:
            k = found["place"]
            slot = held.parents[k]
            if slot is not None and slot is asked[k]:  # no other one was put there meanwhile
                held.looks[k] = found
                shown |= self._place_shown(held, k)
        yield shown
        return ""

    def _put(self, held: Session, k: int, slot: Slot | None) -> None:
        held.parents[k] = slot
        held.masks[k], held.looks[k], held.clicks = "auto", {}, []
        for path in ("head_box", "neck"):  # a hint was meant for the picture before
            lines = held.options.get((path,))
            if isinstance(lines, list) and k < len(lines):
                held.options[(path,)] = [*lines[:k], "auto", *lines[k + 1 :]]

    def _changed(self, held: Session, creature: CreaturePart) -> dict[Any, Any]:
        """Show what other parents change: the weights begin anew, and what was made of those before goes."""
        held.shares = [34.0, 33.0, 33.0] if len(held.filled) == MAX_PARENTS else [50.0] * MAX_PARENTS
        more = (
            {self.third: gr.update(visible=True), self.add: gr.update(visible=False)}
            if held.parents[2]
            else {}
        )
        return {**more, **creature.controls(held), **self.corrections.closed(), **creature.more.still()}
