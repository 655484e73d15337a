"""The page: its parts in their order, and what happens between them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from chimera_core.studio.look import theme
from chimera_core.studio.page_creature import CreaturePart
from chimera_core.studio.page_fuser import FuserPart
from chimera_core.studio.page_keep import KeepPart
from chimera_core.studio.page_more import MorePart
from chimera_core.studio.page_parents import ParentsPart
from chimera_core.studio.page_return import Return
from chimera_core.studio.page_trainings import TrainingsPart
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio

# Every so many seconds copies that are older than so many go.
_DELETE_CACHE = (3600, 6 * 3600)
HEAD = """
# Chimera Studio
Photographs of two or three animals in, one creature out. Everything stays on this machine.
"""


def build_page(studio: Studio) -> Any:
    """Lay out the page and wire it: ``gradio.Blocks``."""
    with gr.Blocks(title="Chimera Studio", analytics_enabled=False, delete_cache=_DELETE_CACHE) as page:
        session = gr.State(Session())
        gr.Markdown(HEAD, elem_id="head")
        with gr.Tabs():
            with gr.Tab("Make", id="make"):
                with gr.Row(equal_height=False):
                    with gr.Column(scale=6, min_width=320):
                        parents = ParentsPart(studio)
                        fuser = FuserPart(studio)
                    with gr.Column(scale=6, min_width=320):
                        creature = CreaturePart(studio)
                        keep = KeepPart(studio)
                more = MorePart(studio)
            with gr.Tab("Trainings", id="trainings") as tab:
                trainings = TrainingsPart(studio)
        creature.keep, creature.more = keep, more
        creature.parents, creature.fuser = parents, fuser
        parents.wire(session, fuser=fuser, creature=creature)
        fuser.wire(session, parents=parents, creature=creature)
        creature.wire(session)
        keep.wire(session, creature=creature)
        more.wire(session, creature=creature)
        trainings.wire(tab)
        Return(studio).wire(page, session, creature=creature)
    return page


def page_theme() -> Any:
    """Give the page's theme."""
    return theme(gr)
