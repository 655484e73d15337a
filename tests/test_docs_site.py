"""The documentation as a site: generated pages are those of today's code, and every page is in the menu."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"


def test_the_pages_of_commands_and_components_are_what_the_code_says() -> None:
    tool = DOCS / "site_tools" / "reference_pages.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_page_is_in_the_menu() -> None:
    menu = set(re.findall(r"^ *- ([\w/-]+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")}
    assert pages == {page for page in menu if not page.startswith("models/")}


@pytest.mark.parametrize("page", ["README.md", "docs/**/*.md", "examples/**/*.md", "plugins/**/*.md"])
def test_links_lead_to_files(page: str) -> None:
    lost = [
        f"{file.relative_to(REPOSITORY)}: {link}"
        for file in sorted(REPOSITORY.glob(page))
        for link in re.findall(
            r"\]\((?!https?:|#)([^)#\s]+)",
            re.sub(r"`[^`\n]*`|^```.*?^```", "", file.read_text(), flags=re.S | re.M),
        )
        if not (file.parent / link).exists()
    ]
    assert lost == []
