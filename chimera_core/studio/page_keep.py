"""What to take away: the picture, the command that makes it again, the settings with the photographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.studio.captions import in_short
from chimera_core.studio.creature import Creature
from chimera_core.studio.keep import command_for, mask_names, title_of, write_settings
from chimera_core.studio.look import plain, wrong
from chimera_core.studio.page_gallery import CreatureGallery
from chimera_core.studio.reopen import reopen
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio

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
            self.open = gr.UploadButton("Open a ZIP", file_types=[".zip"], elem_id="open-zip")
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
        self.history = CreatureGallery(
            "Made so far (choose one to bring it back)",
            name="history",
            columns=6,
            listed=lambda held: held.history[::-1],
        )

    @property
    def outputs(self) -> list[Any]:
        """What a new creature changes."""
        return [self.png, self.settings, self.saved, self.command, self.history.view]

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
        return {
            self.png: gr.update(value=creature.file, interactive=True),
            self.settings: gr.update(value=settings and str(settings), interactive=settings is not None),
            self.saved: "",
            self.command: gr.update(value=command, info=_WITH_MASKS if mask_names(creature.ask) else _HERE),
            **self.history.shown(held, [in_short(c) for c in held.history[::-1]], least=2),
        }

    def wire(self, session: Any, *, creature: CreaturePart) -> None:
        """Say what is saved, and let a creature of before come back, from here or from a ZIP."""
        self.open.upload(
            lambda file, held: (yield from self._reopen(held, Path(file), creature)),
            [self.open, session],
            creature.everything,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )
        for button, suffix in ((self.png, "png"), (self.settings, "zip")):

            def saved(held: Session, suffix: str = suffix) -> str:
                return saved_as(f"{title_of(held.shown.ask)}.{suffix}" if held.shown else "it")

            button.click(
                saved,
                [session],
                [self.saved],
                show_progress="hidden",
                api_visibility="private",
                concurrency_limit=None,
            )
        self.history.wire(session, creature=creature)

    def _reopen(self, held: Session, file: Path, creature: CreaturePart) -> Iterator[Any]:
        """Take a ZIP back, and make its creature again."""
        studio = self.studio
        try:
            found = reopen(file, folder=studio.folder, host=studio.host)
            if found.fuser and studio.facts(found.fuser) is None:
                raise ConfigError(f"there is no method {found.fuser!r} here, which that ZIP was made with")
        except ChimeraError as error:
            yield {self.saved: wrong(str(error))}
            return
        held.take_over(found)
        yield {**creature.all_shown(held), **creature.controls(held), self.saved: plain("The ZIP is open.")}
        trouble = yield from creature.parents.look(held)
        if not trouble:
            yield from creature.draw(held)


def saved_as(name: str) -> str:
    """Say what the browser saves, and where."""
    return plain(f"Your browser saves {name}, as a rule among your downloads.")
