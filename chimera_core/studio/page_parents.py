"""Parents: two large places to drop photographs, names to type, examples; what was found is drawn over each."""

from __future__ import annotations

import html
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.models.fusers import is_class_name
from chimera_core.studio.asks import MAX_PARENTS
from chimera_core.studio.captions import PLACES, titles
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
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart
    from chimera_core.studio.page_fuser import FuserPart

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
        self.corrects: list[Any] = []
        self.columns: list[Any] = []
        gr.Markdown("## 1. Choose two animals, or three", elem_classes="step")
        gr.HTML(suggestions(known_names(studio.host)), padding=False, elem_id="suggestions")
        with gr.Row():
            for k in range(MAX_PARENTS - 1):
                self._place(k)
        self.add = gr.Button("Add a third animal", size="sm", elem_id="add-third")
        with gr.Column(visible=False) as self.third:
            self._place(2)
            self.remove = gr.Button("Remove the third animal", size="sm", elem_id="remove-third")
        gr.HTML(LEGEND, padding=False, elem_id="legend")
        with gr.Row(elem_id="examples"):
            self.examples = [
                (gr.Button(f"Try: {title}", size="sm"), names)
                for title, names in example_parents(studio.host)
            ]
        self.corrections = CorrectionsPart(studio)

    def _place(self, k: int) -> None:
        with gr.Column(min_width=150) as column:
            image = Photograph(
                label=PLACES[k],
                sources=["upload", "clipboard", "webcam"],
                type="filepath",
                height=260 if k < 2 else 200,
                placeholder=DROP,
                buttons=["fullscreen"],
                elem_id=f"parent-{k + 1}",
                alt_text=PLACES[k],
            )
            caption = gr.HTML(padding=False, elem_classes="caption", elem_id=f"found-{k + 1}")
            correct = gr.Button(
                "Correct head, neck or outline", size="sm", visible=False, elem_id=f"correct-{k + 1}"
            )
            # No list of choices, which would take another name for the one that is typed: the browser only suggests.
            name = gr.Textbox(
                label="or type a name",
                info="a picture on this machine",
                max_lines=1,
                max_length=100,
                elem_id=f"name-{k + 1}",
            )
        self.columns.append(column)
        self.images.append(image)
        self.captions.append(caption)
        self.corrects.append(correct)
        self.names.append(name)

    @property
    def outputs(self) -> list[Any]:
        """What a look may change."""
        return [*self.images, *self.captions, *self.corrects, *self.names, self.third, self.add]

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
        slot = held.parents[k]
        facts = self.studio.facts(held.fuser) if held.fuser else None
        title = titles(self.studio.reason(held), held.names, facts.summary if facts else "")[k]
        text = self._found(held, k)
        file = held.looks[k].get("file") or None
        return {
            self.images[k]: gr.update(value=file, label=title, alt_text=text or title),
            self.captions[k]: plain(text) if text else "",
            self.corrects[k]: gr.update(visible=file is not None),
            self.names[k]: slot.word if slot and not slot.is_file else "",
        }

    def _found(self, held: Session, k: int) -> str:
        """Say what stands in a place, and what was found there."""
        slot, found = held.parents[k], held.looks[k]
        if slot is None or not found:
            return slot.shown if slot else ""
        taken = f" (a picture of {found['taken']} is taken)" if found.get("taken") else ""
        return f"{slot.shown}{taken}: {found['text']}"

    def wire(self, session: Any, *, fuser: FuserPart, creature: CreaturePart) -> None:
        """Let the places do what they are for."""
        studio = self.studio
        every = [
            *self.outputs,
            *fuser.outputs,
            *creature.outputs,
            *self.corrections.outputs,
            *creature.more.outputs,
        ]
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }

        def anew(held: Session) -> dict[Any, Any]:
            method = {**fuser.shown(held), **creature.sized(held)} if held.forget_method() else {}
            return {**method, **self._changed(held, creature)}

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
            standing = held.parents[k]
            if not name or (standing is not None and standing.word == name):
                return
            if len(name) > 100 or not is_class_name(name):
                yield {**self._place_shown(held, k), self.captions[k]: wrong(unknown_name(studio.host, name))}
                return
            yield from placed(k, Slot(name, name, False), held)

        def placed(k: int, slot: Slot, held: Session) -> Iterator[Any]:
            """Put a parent in its place and look; one that cannot be read leaves the one that was there."""
            before = held.standing()
            held.put(k, slot)
            held.begin_anew()
            turn = held.turn
            studio.drop_useless_hints(held)
            error = yield from self._look(held, k)
            if held.parents[k] is not slot:  # another one was put there meanwhile
                return
            if error:
                held.stand(before, k)
                if not slot.is_file and not is_known(studio.host, slot.word):
                    error = unknown_name(studio.host, slot.word)
                yield {**self._place_shown(held, k), self.captions[k]: wrong(error)}
                return
            # Whoever did not wait for the look has begun to draw: what says how that goes is left alone.
            waited = held.turn == turn
            controls = anew(held) if waited else creature.more.shown(held)
            yield {**controls, **self._place_shown(held, k)}
            yield from self._choose(held, k)

        def cleared(k: int, held: Session) -> dict[Any, Any]:
            held.put(k, None)
            held.begin_anew()
            return {**anew(held), **self._place_shown(held, k)}

        def example(names: tuple[str, ...], held: Session) -> Iterator[Any]:
            for k in range(MAX_PARENTS):
                held.put(k, Slot(names[k], names[k], False) if k < len(names) else None)
            held.begin_anew()
            controls = anew(held)
            yield {**self.shown(held), **controls}
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
            gr.on(
                [self.names[k].submit, self.names[k].blur],
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
        error = yield from self._look(held, at)
        if not error:
            yield from self._choose(held, at)
        return error

    def _choose(self, held: Session, at: int | None) -> Iterator[Any]:
        """Let the automatic choice be made, where it is asked for and not known yet: labels follow it."""
        if not held.fuser and not held.missing and not self.studio.choice(held):
            yield from self._look(held, at, chooses=True)

    def _look(self, held: Session, at: int | None, *, chooses: bool = False) -> Generator[Any, None, str]:
        job = self.studio.look(held, chooses=chooses)
        asked = list(held.parents)
        new = [at] if at is not None else [k for k in held.filled if chooses or not held.looks[k]]
        if chooses:
            suits = {k: plain(f"{self._found(held, k)} Seeing what suits them ...") for k in new}
            yield {self.captions[k]: line for k, line in suits.items()}
        while not job.wait(_LOOK_S):
            if new and not chooses:
                yield {self.captions[k]: working(job, "Looking for the animal") for k in new}
        if job.state != "done":
            lines = {k: self._place_shown(held, k)[self.captions[k]] for k in new}
            if job.error and not chooses:  # what cannot be made of them is said when it is asked for
                lines[new[-1] if new else held.filled[-1]] = wrong(job.error)
            yield {self.captions[k]: line for k, line in lines.items()}
            return "" if chooses else job.error
        if held.parents == asked:
            self.studio.note_choice(held, job)
        for found in job.result["parents"]:
            if held.parents[found["place"]] is asked[found["place"]]:  # no other one was put there meanwhile
                held.looks[found["place"]] = found
        shown: dict[Any, Any] = {}
        for k in held.filled:
            if held.parents[k] is asked[k]:
                shown |= self._place_shown(held, k)
        if shown:
            yield shown
        return ""

    def _changed(self, held: Session, creature: CreaturePart) -> dict[Any, Any]:
        """Show what other parents change: what was made of those before goes."""
        more = (
            {self.third: gr.update(visible=True), self.add: gr.update(visible=False)}
            if held.parents[2]
            else {}
        )
        return {**more, **creature.controls(held), **self.corrections.closed(), **creature.more.cleared()}


def suggestions(names: Sequence[str]) -> str:
    """Write the list of names that the browser suggests while one is typed."""
    entries = "".join(f'<option value="{html.escape(name)}"></option>' for name in names)
    return f'<datalist id="known-names">{entries}</datalist>'
