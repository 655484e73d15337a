"""Looking at pictures to choose among them, with progress on stderr."""

from __future__ import annotations

from chimera_core.cli._progress import progress
from chimera_core.library.merits import PictureMerits
from chimera_core.plugins.discovery import PluginHost


def picture_merits(host: PluginHost) -> PictureMerits:
    """Give what tells good pictures from others; it shows progress where it meets new ones."""
    return PictureMerits.of(host, showing=lambda: progress("choosing a picture"))
