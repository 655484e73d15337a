"""Refuse a page of the site that would load a file from another host."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.exceptions import PluginError

_LOADED = re.compile(
    r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)", re.I
)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Look through a finished page."""
    found = [m[1] for m in _LOADED.finditer(output) if 'rel="canonical"' not in m[0]]
    if found:
        raise PluginError(f"{page.file.src_uri} loads {found[0]}: keep the file in docs/")
    return output
