"""A page that is loaded anew finds what its tab held: the browser keeps a name for the tab, the studio what it stands for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.studio.look import wrong
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart

# A name is made once per tab and lives as long as that; NEW tells that it was made just now.
NEW = "new:"
TAB = """() => {
  try {
    const kept = sessionStorage.getItem('chimera-studio');
    if (kept) return kept;
    const name = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
    sessionStorage.setItem('chimera-studio', name);
    return 'new:' + name;
  } catch { return ''; }
}"""
GONE = (
    "What was here before is gone: the studio was started anew since. What you saved is among your downloads."
)


def find_session(studio: Studio, tab: str, fresh: Session) -> tuple[Session, str]:
    """Find what a tab held.

    Args:
        tab: its name as the browser says it, with ``NEW`` before it where it was made just now.
        fresh: what it holds from now on, if there is nothing.
    Returns:
        What it holds, and ``back`` where that was there, ``gone`` where it was lost, or ``new``.
    """
    name = tab.removeprefix(NEW)
    if not re.fullmatch(r"[0-9a-f]{32}", name):
        return fresh, "new"
    if (held := studio.remembered(name)) is not None:
        return held, "back"
    studio.remember(name, fresh)
    return fresh, "new" if tab.startswith(NEW) else "gone"


class Return:
    """Brings a tab's session back when the page is loaded."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.tab = gr.Textbox(visible=False)

    def wire(self, page: Any, session: Any, *, creature: CreaturePart) -> None:
        """Look for the session when the page is loaded."""
        fuser = creature.fuser

        def come_back(tab: str, fresh: Session) -> dict[Any, Any]:
            listed = fuser.choices()
            held, how = find_session(self.studio, tab, fresh)
            if how == "gone":
                return {session: held, **listed, creature.status: wrong(GONE)}
            if how == "new" or not (held.filled or held.shown):
                return {session: held, **listed}
            shown = {**creature.all_shown(held), session: held}
            shown[fuser.fuser] = gr.update(choices=fuser.listed(), value=held.fuser)
            return shown

        page.load(
            come_back,
            [self.tab, session],
            [session, *creature.everything],
            js=f"(tab, held) => [({TAB})(), held]",
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
