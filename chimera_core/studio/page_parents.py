"""Parents: two large places to drop photographs, names to type, examples; what was found is drawn over each."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.own_folders import make_folder
from chimera_core.models.fusers import is_class_name
from chimera_core.studio.asks import MAX_PARENTS
from chimera_core.studio.look import plain, working, wrong
from chimera_core.studio.parents import Slot, example_parents, known_names, take_upload
from chimera_core.studio.photograph import Photograph
from chimera_core.studio.session import Session, Studio

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart
    from chimera_core.studio.page_fuser import FuserPart

TITLES = ("First animal: gives the body", "Second animal: gives the head", "Third animal: gives its coat")
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
        gr.Markdown("## 1. Choose two animals", elem_classes="step")
        known = known_names(studio.host)
        with gr.Row():
            for k in range(MAX_PARENTS - 1):
                self._place(k, known)
        self.add = gr.Button("Add a third animal", size="sm", elem_id="add-third")
        with gr.Row(visible=False) as self.third:
            self._place(2, known)
        with gr.Row(elem_id="examples"):
            self.examples = [
                (gr.Button(f"Try: {title}", size="sm"), names)
                for title, names in example_parents(studio.host)
            ]
        with gr.Accordion("Correct what was found", open=False):
            gr.Markdown(
                "Orange is the head, red the neck, green the outline. To move a head or a neck, choose it here and click two "
                "points on the photograph above: opposite corners of the head, or both ends of the neck."
            )
            with gr.Row():
                self.tool = gr.Radio(
                    [("Nothing", ""), ("Head", "head_box"), ("Neck", "neck")],
                    value="",
                    label="What my clicks set",
                    elem_id="tool",
                )
                self.reset = gr.Button("Forget my corrections", size="sm", elem_id="reset")
            self.hint = gr.HTML(padding=False, elem_id="hint")
            with gr.Row():
                self.whose = gr.Radio(
                    [("First", 0), ("Second", 1), ("Third", 2)], value=0, label="Whose outline to brush"
                )
                self.load_brush = gr.Button("Show it for brushing", size="sm", elem_id="load-brush")
            self.editor = gr.ImageEditor(
                type="numpy",
                label="Brush: green adds to the animal, red takes away",
                sources=(),
                transforms=(),
                layers=False,
                brush=gr.Brush(default_size=24, colors=["#00c853", "#d50000"], color_mode="fixed"),
                visible=False,
                elem_id="brush",
            )
            self.use_brush = gr.Button("Use this outline", size="sm", visible=False, elem_id="use-brush")

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
        return [*self.images, *self.captions, *self.names]

    def wire(self, session: Any, *, fuser: FuserPart, creature: CreaturePart) -> None:
        """Let the places do what they are for."""
        studio = self.studio
        every = [*self.outputs, self.third, self.add, *creature.outputs]
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
                yield {self.images[k]: None, self.captions[k]: wrong(str(error))}
                return
            self._put(held, k, slot)
            yield {self.names[k]: None, **self._changed(held, creature)}
            yield from looked(k, held)

        def named(k: int, name: str | None, held: Session) -> Iterator[Any]:
            name = (name or "").strip()
            if not name:
                return
            try:
                if len(name) > 100 or not is_class_name(name):
                    raise ConfigError(
                        "type the name of an animal, such as cat; drop a photograph to use that"
                    )
            except ChimeraError as error:
                yield {self.captions[k]: wrong(str(error))}
                return
            self._put(held, k, Slot(name, name, False))
            yield {self.images[k]: None, **self._changed(held, creature)}
            yield from looked(k, held)

        def looked(k: int, held: Session) -> Iterator[Any]:
            """Look, and take back a parent that cannot be read."""
            placed = held.parents[k]
            error = yield from self.look(held)
            if error and held.parents[k] is placed:
                held.parents[k] = None
                yield {
                    self.images[k]: None,
                    self.names[k]: None,
                    self.captions[k]: wrong(error),
                    **self._changed(held, creature),
                }

        def cleared(k: int, held: Session) -> dict[Any, Any]:
            held.parents[k] = None
            held.masks[k], held.looks[k] = "auto", {}
            return {self.captions[k]: "", self.names[k]: None, **self._changed(held, creature)}

        def example(names: tuple[str, ...], held: Session) -> Iterator[Any]:
            for k in range(MAX_PARENTS):
                self._put(held, k, Slot(names[k], names[k], False) if k < len(names) else None)
            shown: dict[Any, Any] = {self.images[k]: None for k in range(MAX_PARENTS)}
            shown |= {self.names[k]: names[k] if k < len(names) else None for k in range(MAX_PARENTS)}
            shown |= {self.captions[k]: "" for k in range(MAX_PARENTS)}
            yield {**shown, **self._changed(held, creature)}
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
            self.images[k].select(
                _clicker(self, fuser, k),
                [session, self.tool],
                [*self.outputs, self.hint, fuser.version],
                **quiet,
            )
        for button, names in self.examples:
            button.click(
                lambda held, names=names: (yield from example(names, held)), [session], every, **quiet
            )
        self.add.click(
            lambda: {self.third: gr.update(visible=True), self.add: gr.update(visible=False)},
            outputs=[self.third, self.add],
            **quiet,
        )
        self.reset.click(
            lambda held: (yield from self._forget(held)),
            [session],
            [*self.outputs, self.hint, self.editor, self.use_brush, fuser.version],
            **quiet,
        )
        self.load_brush.click(
            self._load_brush, [session, self.whose], [self.editor, self.use_brush, self.hint], **quiet
        )
        self.use_brush.click(
            lambda held, whose, painted: (yield from self._use_brush(held, whose, painted)),
            [session, self.whose, self.editor],
            [*self.outputs, self.hint],
            **quiet,
        )

    def look(self, held: Session) -> Generator[Any, None, str]:
        """Let the worker look at the parents, and show what it found; give what went wrong, if anything did."""
        if not held.filled:
            return ""
        job = self.studio.look(held)
        places, asked = held.filled, list(held.parents)
        new = [k for k in places if not held.looks[k]]
        while not job.wait(_LOOK_S):
            if new:
                yield {self.captions[k]: working(job, "Looking for the animal") for k in new}
        if job.state != "done":
            yield {
                self.captions[k]: wrong(job.error) if job.error and k == places[-1] else "" for k in places
            }
            return job.error
        shown: dict[Any, Any] = {}
        for found in job.result["parents"]:
            k = found["place"]
            slot = held.parents[k]
            if slot is None or slot is not asked[k]:  # another one was put there meanwhile
                continue
            held.looks[k] = found
            alt = f"{slot.shown}. {found['text']}"
            shown[self.images[k]] = gr.update(value=found["file"] or None, alt_text=alt)
            shown[self.captions[k]] = plain(f"{slot.shown}: {found['text']}")
        yield shown
        return ""

    def _put(self, held: Session, k: int, slot: Slot | None) -> None:
        held.parents[k] = slot
        held.masks[k], held.looks[k] = "auto", {}
        for path in ("head_box", "neck"):  # a hint was meant for the picture before
            lines = held.options.get((path,))
            if isinstance(lines, list) and k < len(lines):
                lines[k] = "auto"

    def _changed(self, held: Session, creature: CreaturePart) -> dict[Any, Any]:
        held.shares = [100 / 3] * 3 if len(held.filled) == 3 else [50.0, 50.0, 50.0]
        third = held.parents[2] is not None
        more = {self.third: gr.update(visible=True), self.add: gr.update(visible=False)} if third else {}
        return {**more, **creature.controls(held)}

    def _forget(self, held: Session) -> Iterator[Any]:
        held.options.pop(("head_box",), None)
        held.options.pop(("neck",), None)
        held.masks, held.clicks = ["auto"] * MAX_PARENTS, []
        yield {
            self.hint: plain("Your corrections are forgotten."),
            self.editor: gr.update(visible=False),
            self.use_brush: gr.update(visible=False),
        }
        yield from self.look(held)

    def _load_brush(self, held: Session, whose: int) -> dict[Any, Any]:
        found = held.looks[whose]
        if not found.get("file"):
            return {self.hint: wrong("drop a photograph there first")}
        value = {"background": found["file"], "layers": [], "composite": None}
        return {
            self.editor: gr.update(value=value, visible=True),
            self.use_brush: gr.update(visible=True),
            self.hint: plain("Paint green where animal is missing, red where there is too much of it."),
        }

    def _use_brush(self, held: Session, whose: int, painted: Any) -> Iterator[Any]:
        import secrets

        import numpy as np

        from chimera_core.images import write_png

        slot = held.parents[whose]
        layers = [layer for layer in (painted or {}).get("layers", []) if np.asarray(layer)[..., 3].any()]
        if slot is None or not layers:
            yield {self.hint: wrong("nothing is painted yet")}
            return
        name = secrets.token_hex(8)
        folder = self.studio.folder
        brushed = make_folder(folder / "masks", within=folder) / f"{name}-brushed.png"
        write_png(brushed, np.asarray(layers[0], dtype=np.uint8))
        arguments = held.looking()["arguments"] | {"parents": [slot.word], "masks": [held.masks[whose]]}
        try:
            made = self.studio.workshop.ask("brush", arguments=arguments, brushed=str(brushed), name=name)
        except ChimeraError as error:
            yield {self.hint: wrong(str(error))}
            return
        held.masks[whose] = made["file"]
        yield {self.hint: plain("Your outline is used from now on.")}
        yield from self.look(held)


def _clicker(part: ParentsPart, fuser: FuserPart, k: int) -> Any:
    """Make the function that takes clicks on one parent's picture. Gradio finds the event by its annotation."""

    def clicked(held: Session, tool: str, event: gr.SelectData) -> Iterator[Any]:
        from PIL import Image

        file = held.looks[k].get("file")
        if not tool or not file:
            return
        if not any(flag.path == (tool,) and flag.multiple for flag in part.studio.flags(held)):
            yield {
                part.hint: wrong(f"this fuser takes no {tool.replace('_box', '')}: choose parts or Automatic")
            }
            return
        with Image.open(file) as shown:
            width, height = shown.size
        x, y = event.index[0] / width, event.index[1] / height
        held.clicks.append((min(1.0, max(0.0, x)), min(1.0, max(0.0, y))))
        if len(held.clicks) % 2:
            where = "opposite corner of the head" if tool == "head_box" else "other end of the neck"
            yield {part.hint: plain(f"Now click the {where}.")}
            return
        (x0, y0), (x1, y1) = held.clicks[-2:]
        held.clicks = []
        if tool == "head_box":
            x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
            if x1 - x0 < 0.01 or y1 - y0 < 0.01:
                yield {part.hint: wrong("that is no box: click two opposite corners")}
                return
        place = held.filled.index(k)
        lines = [*held.options.get((tool,), [])]
        lines += ["auto"] * (place + 1 - len(lines))
        lines[place] = ",".join(f"{value:.3f}" for value in (x0, y0, x1, y1))
        held.options[(tool,)] = lines
        yield {
            part.hint: plain("Noted. Make the creature again to see it."),
            fuser.version: time.monotonic_ns(),
        }
        yield from part.look(held)

    return clicked
