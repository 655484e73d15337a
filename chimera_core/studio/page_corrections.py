"""Corrections of what was found: a head or a neck that two clicks set, an outline that is brushed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.files.own_folders import make_folder
from chimera_core.studio.asks import MAX_PARENTS
from chimera_core.studio.look import plain, wrong
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart
    from chimera_core.studio.page_fuser import FuserPart
    from chimera_core.studio.page_parents import ParentsPart

_NEXT = {
    "head_box": "Now click the opposite corner of the head.",
    "neck": "Now click the other end of the neck.",
}
_DOT = (255, 176, 0)


class CorrectionsPart:
    """The panel of corrections; clicks come from the photographs."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        with gr.Accordion("Correct what was found", open=False, elem_id="corrections") as self.panel:
            gr.Markdown(
                "To move a head or a neck, choose it here and click two points on the photograph above: opposite corners "
                "of the head, or both ends of the neck. The neck moves along with a head, unless you set it, too."
            )
            self.tool = gr.Radio(
                [("Nothing", ""), ("Head", "head_box"), ("Neck", "neck")],
                value="",
                label="What my clicks set",
                elem_id="tool",
            )
            self.whose = gr.Radio(
                [("First", 0), ("Second", 1), ("Third", 2)],
                value=0,
                label="Whose outline to brush",
                elem_id="whose",
            )
            with gr.Row():
                self.load_brush = gr.Button("Show it for brushing", size="sm", elem_id="load-brush")
                self.reset = gr.Button("Forget my corrections", size="sm", elem_id="reset")
            self.hint = gr.HTML(padding=False, elem_id="hint", elem_classes="caption")
            self.editor = gr.ImageEditor(
                type="numpy",
                label="Brush",
                sources=(),
                transforms=(),
                layers=False,
                brush=gr.Brush(default_size=24, colors=["#00c853", "#d50000"], color_mode="fixed"),
                visible=False,
                elem_id="brush",
            )
            self.use_brush = gr.Button("Use this outline", size="sm", visible=False, elem_id="use-brush")

    @property
    def outputs(self) -> list[Any]:
        """What another photograph changes."""
        return [self.editor, self.use_brush, self.hint]

    def closed(self) -> dict[Any, Any]:
        """Put the brush away."""
        hidden = gr.update(visible=False)
        return {self.editor: hidden, self.use_brush: hidden, self.hint: ""}

    def wire(self, session: Any, *, parents: ParentsPart, fuser: FuserPart, creature: CreaturePart) -> None:
        """Let clicks and the brush correct what was found."""
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }
        changed = [*parents.outputs, self.hint, *creature.outputs]
        for k in range(MAX_PARENTS):
            parents.corrects[k].click(
                lambda held, k=k: self._begin(held, parents, k),
                [session],
                [self.panel, self.tool, self.whose, parents.captions[k]],
                **quiet,
            )
            parents.images[k].select(
                _clicker(self, parents, fuser, creature, k),
                [session, self.tool],
                [*changed, fuser.version],
                **quiet,
            )
        self.reset.click(
            lambda held: (yield from self._forget(held, parents, fuser, creature)),
            [session],
            [*changed, self.editor, self.use_brush, fuser.version],
            **quiet,
        )
        self.load_brush.click(
            self._load_brush, [session, self.whose], [self.editor, self.use_brush, self.hint], **quiet
        )
        self.use_brush.click(
            lambda held, whose, painted: (
                yield from self._use_brush(held, whose, painted, parents, creature)
            ),
            [session, self.whose, self.editor],
            changed,
            **quiet,
        )

    def _begin(self, held: Session, parents: ParentsPart, k: int) -> dict[Any, Any]:
        """Let the next clicks set one parent's head, and open the panel for all else."""
        held.clicks = []
        return {
            self.panel: gr.update(open=True),
            self.tool: "head_box",
            self.whose: k,
            parents.captions[k]: plain(
                "Click two opposite corners of the head on the photograph. For neck and outline see below."
            ),
        }

    def _forget(
        self, held: Session, parents: ParentsPart, fuser: FuserPart, creature: CreaturePart
    ) -> Iterator[Any]:
        held.forget_corrections()
        yield {
            **self.closed(),
            self.hint: plain("Your corrections are forgotten."),
            fuser.version: time.monotonic_ns(),
        }
        yield from parents.look(held)
        yield from self.act(held, creature)

    def act(self, held: Session, creature: CreaturePart) -> Iterator[Any]:
        """Draw the creature that is shown anew, as corrected; one that stays the same is said to."""
        before = held.shown
        if before is None or held.missing or not held.is_of_these:
            return
        yield from creature.draw(held)
        after = held.shown
        if after is not None and after is not before and after.looks_like(before):
            name = after.fuser.split(":")[-1]
            yield {
                creature.status: plain(
                    f"Done. The correction changes nothing here: {name} makes the same picture with it."
                )
            }

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

    def _use_brush(
        self, held: Session, whose: int, painted: Any, parents: ParentsPart, creature: CreaturePart
    ) -> Iterator[Any]:
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
        yield {self.hint: plain("Your outline is taken: looking again ...")}
        yield from parents.look(held)
        yield {self.hint: plain("Your outline is used from now on.")}
        yield from self.act(held, creature)


def _clicker(
    part: CorrectionsPart, parents: ParentsPart, fuser: FuserPart, creature: CreaturePart, k: int
) -> Any:
    """Make the function that takes clicks on one parent's picture. Gradio finds the event by its annotation."""

    def clicked(held: Session, tool: str, event: gr.SelectData) -> Iterator[Any]:
        from PIL import Image

        file, caption = held.looks[k].get("file"), parents.captions[k]
        if not tool or not file:
            return
        # What is chosen automatically may be another fuser once it knows where the head is.
        if held.fuser and (reason := part.studio.why_no_hint(held, tool)):
            yield {caption: wrong(reason)}
            return
        with Image.open(file) as shown:
            width, height = shown.size
        x, y = (min(1.0, max(0.0, at / side)) for at, side in zip(event.index, (width, height), strict=True))
        held.clicks = [click for click in held.clicks if click[:2] == (tool, k)]
        held.clicks.append((tool, k, x, y))
        if len(held.clicks) < 2:
            yield {
                parents.images[k]: gr.update(value=str(_dotted(part.studio.folder, Path(file), x, y))),
                caption: plain(_NEXT[tool]),
            }
            return
        (*_, x0, y0), (*_, x1, y1) = held.clicks
        held.clicks = []
        if tool == "head_box":
            x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
            if x1 - x0 < 0.01 or y1 - y0 < 0.01:
                yield {
                    parents.images[k]: gr.update(value=file),
                    caption: wrong("That is no box: click two opposite corners of the head."),
                }
                return
        held.hint(tool, k, ",".join(f"{value:.3f}" for value in (x0, y0, x1, y1)))
        yield {caption: plain("Looking again ..."), fuser.version: time.monotonic_ns()}
        yield from parents.look(held, at=k)
        if reason := part.studio.why_no_hint(held, tool):
            yield {caption: plain(reason)}
            return
        yield from part.act(held, creature)

    return clicked


def _dotted(folder: Path, file: Path, x: float, y: float) -> Path:
    """Draw where the user clicked first."""
    import numpy as np
    from PIL import Image, ImageDraw

    from chimera_core.images import write_png

    with Image.open(file) as shown:
        picture = shown.convert("RGB")
    at = (x * picture.width, y * picture.height)
    pencil = ImageDraw.Draw(picture)
    pencil.circle(at, 9, fill=(20, 24, 32))
    pencil.circle(at, 6, fill=_DOT)
    path = make_folder(folder / "looks", within=folder) / f"{file.stem}-{secrets.token_hex(4)}.png"
    write_png(path, np.asarray(picture))
    return path
