"""Links out of ``docs/``: cards of models and READMEs of examples become pages of the site, other files plain names.

A page's links are those that work in the repository, so that it reads well in both places.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    card.relative_to(ROOT).as_posix(): f"models/{card.name}"
    for folder in ("plugins/*/models", "chimera_core/subjects/weights")
    for card in sorted(ROOT.glob(f"{folder}/*.md"))
} | {f"examples/{name}/README.md": f"examples/{name}.md" for name in ("report-1", "report-2")}
_LINK = re.compile(r"\[([^\[\]]+)\]\(([^()\s:#]+)(#[^()\s]*)?\)")


def on_files(files: Any, *, config: Any) -> Any:
    """Add pages that lie elsewhere in the repository."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Point a page's links at pages of the site."""
    uri = page.file.src_uri
    place = next((source for source, its_page in PAGES.items() if its_page == uri), f"docs/{uri}")

    def replaced(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        at = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
        if at in PAGES:
            here = PAGES[at]
        elif at.startswith("docs/"):
            here = at.removeprefix("docs/")
        else:
            return text if (ROOT / at).exists() else link[0]  # a link to nothing is left for mkdocs to refuse
        return f"[{text}]({posixpath.relpath(here, posixpath.dirname(uri))}{anchor})"

    return _LINK.sub(replaced, markdown)
