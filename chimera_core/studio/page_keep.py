"""What to take away: the picture, the command that makes it again, the settings with the photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.studio.keep import command_for, mask_names, title_of, write_settings
from chimera_core.studio.look import plain
from chimera_core.studio.session import Creature, Session, Studio
from chimera_core.studio.weights import caption

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart


_COMMAND = "The command that makes the same picture"
_HERE = "For a terminal: run it in the folder where your photographs are."
_WITH_MASKS = "It needs the outlines that you brushed, which are in the ZIP: unpack that, and run it there."


class KeepPart:
    """Downloads, the command, and the creatures made before."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        gr.Markdown("## 4. Keep it", elem_classes="step")
        with gr.Row():
            self.png = gr.DownloadButton("Picture (PNG)", interactive=False, elem_id="keep-png")
            self.settings = gr.DownloadButton("Everything (ZIP)", interactive=False, elem_id="keep-settings")
        self.saved = gr.HTML(padding=False, elem_id="saved", elem_classes="caption")
        self.command = gr.Textbox(
            label=_COMMAND,
            info="",
            placeholder="chimera fuse ...",
            lines=2,
            interactive=False,
            buttons=["copy"],
            elem_id="command",
        )
        self.history = gr.Gallery(
            label="Made so far (choose one to bring it back)",
            columns=6,
            height="auto",
            object_fit="contain",
            allow_preview=False,
            interactive=False,
            elem_id="history",
            visible=False,
        )

    @property
    def outputs(self) -> list[Any]:
        """What a new creature changes."""
        return [self.png, self.settings, self.saved, self.command, self.history]

    def shown(self, held: Session, creature: Creature) -> dict[Any, Any]:
        """Offer what a creature can be kept as."""
        command = ""
        try:
            command = command_for(creature.ask, self.studio.flags(held), creature.options)
            settings = write_settings(
                Path(creature.file).with_name(f"{title_of(creature.ask)}.zip"),
                creature.ask,
                command,
                Path(creature.file),
            )
        except (ChimeraError, OSError):
            settings = None
        before = held.history[::-1]
        made = [(c.file, f"{caption(c.ask.weights)}, seed {c.ask.seed}") for c in before]
        shown = before.index(creature) if creature in before else None
        return {
            self.png: gr.update(value=creature.file, interactive=True),
            self.settings: gr.update(value=settings and str(settings), interactive=settings is not None),
            self.saved: "",
            self.command: gr.update(value=command, info=_WITH_MASKS if mask_names(creature.ask) else _HERE),
            self.history: gr.update(value=made, visible=len(made) > 1, selected_index=shown),
        }

    def wire(self, session: Any, *, creature: CreaturePart) -> None:
        """Let a creature of before come back."""

        def back(held: Session, event: gr.SelectData) -> dict[Any, Any]:
            return creature.back(held, held.history[::-1][event.index])

        for button, suffix in ((self.png, "png"), (self.settings, "zip")):

            def saved(held: Session, suffix: str = suffix) -> str:
                name = f"{title_of(held.shown.ask)}.{suffix}" if held.shown else "it"
                return plain(f"Your browser saves {name}, as a rule among your downloads.")

            button.click(
                saved,
                [session],
                [self.saved],
                show_progress="hidden",
                api_visibility="private",
                concurrency_limit=None,
            )
        self.history.select(
            back,
            [session],
            creature.everything,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )
