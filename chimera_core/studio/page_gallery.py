"""Creatures side by side, of which one that is chosen comes back with all that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.studio.creature import Creature
from chimera_core.studio.session import Session

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart


class CreatureGallery:
    """A gallery of creatures.

    Args:
        label: that stands above it.
        name: of the element on the page.
        columns: side by side.
        listed: gives the creatures that it shows, in their order.
    """

    def __init__(
        self, label: str, *, name: str, columns: int, listed: Callable[[Session], Sequence[Creature]]
    ) -> None:
        self._listed = listed
        self.view = gr.Gallery(
            label=label,
            columns=columns,
            height="auto",
            object_fit="contain",
            allow_preview=False,
            interactive=False,
            visible=False,
            elem_id=name,
        )

    def shown(self, held: Session, captions: Sequence[str], *, least: int = 1) -> dict[Any, Any]:
        """Show the creatures, with the one marked that is the page's; fewer than ``least`` are not shown."""
        listed = self._listed(held)
        here = held.shown
        at = next((k for k, creature in enumerate(listed) if creature == here), None)
        made = [(creature.file, text) for creature, text in zip(listed, captions, strict=True)]
        return {self.view: gr.update(value=made, visible=len(made) >= least, selected_index=at)}

    def wire(self, session: Any, *, creature: CreaturePart) -> None:
        """Let one that is chosen become the page's creature."""

        def back(held: Session, event: gr.SelectData) -> Any:
            listed = self._listed(held)
            return creature.back(held, listed[event.index]) if event.index < len(listed) else gr.skip()

        self.view.select(
            back,
            [session],
            creature.everything,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )
