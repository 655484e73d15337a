"""The tab of trainings and comparisons: their pictures grow while it is open."""

from __future__ import annotations

from typing import Any

import gradio as gr

from chimera_core.studio.studio import Studio
from chimera_core.studio.trainings import cards_html, list_runs

_EVERY_S = 5


class TrainingsPart:
    """Cards of runs."""

    def __init__(self, studio: Studio) -> None:
        self.below = studio.host.settings.path("runs")
        gr.Markdown("## Trainings and comparisons on this machine", elem_classes="step")
        self.cards = gr.HTML(padding=False, elem_id="runs")
        self.timer = gr.Timer(_EVERY_S, active=False)

    def wire(self, tab: Any) -> None:
        """Look anew now and then, from the first time the tab is opened."""
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }

        def look() -> str:
            return cards_html(list_runs(self.below), self.below)

        tab.select(lambda: (look(), gr.Timer(active=True)), None, [self.cards, self.timer], **quiet)
        self.timer.tick(look, None, [self.cards], **quiet)
