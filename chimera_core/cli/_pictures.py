"""Pictures by name, chosen and fetched with progress on stderr."""

from __future__ import annotations

from pathlib import Path

from chimera_core.cli._progress import progress
from chimera_core.library.fetching import DEFAULT_COUNT, fetch_into_library
from chimera_core.library.visibility_cache import VisibilityCache
from chimera_core.plugins.discovery import PluginHost


def visibility_cache(host: PluginHost) -> VisibilityCache:
    """Give what tells good pictures from others; it shows progress where it meets new ones."""
    return VisibilityCache.of(host, showing=lambda: progress("choosing a picture"))


def fetch_pictures(name: str, host: PluginHost, *, count: int = DEFAULT_COUNT) -> list[Path]:
    """Fetch pictures of a name into the library; for what it raises see ``fetch_into_library``."""
    with progress(f"fetching {name}") as report:
        return fetch_into_library(name, host=host, count=count, progress=report)
