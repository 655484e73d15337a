"""Measuring how well pictures show their animal, with progress on stderr."""

from __future__ import annotations

from chimera_core.cli._progress import progress
from chimera_core.library.visibility_cache import VisibilityCache
from chimera_core.plugins.discovery import PluginHost


def visibility_cache(host: PluginHost) -> VisibilityCache:
    """Open the cache of visibility scores; new pictures are measured with a progress bar."""
    return VisibilityCache.of(host, showing=lambda: progress("choosing a picture"))
