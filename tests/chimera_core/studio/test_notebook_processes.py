"""The studio beside a notebook."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

import chimera_core


def test_a_notebook_shows_the_page_and_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: extra 'studio'")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    page = chimera_core.open_studio(height=500)
    with urllib.request.urlopen(page.address, timeout=20) as answer:
        assert "localhost" in answer.headers["content-security-policy"]
        assert b"gradio" in answer.read()
    assert f'src="{page.address}"' in page._repr_html_()
    assert list(tmp_path.glob(".chimera-studio.*"))
    page.close()
    assert list(tmp_path.glob(".chimera-studio.*")) == []  # what torch keeps there is its own
