"""Readers of image files that plugins add: which one an ending has, and what it decides. Torch-free.

``chimera_core.api`` gives ``readers_of`` to ``images``, which may not know of plugins.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from chimera_core.components.choice import choose
from chimera_core.files.atomic import AnyPath
from chimera_core.images.readers import PluginReader
from chimera_core.plugins.discovery import Component, PluginHost, default_host

if TYPE_CHECKING:
    from chimera_core.interfaces.additions import ImageReader

KIND = "image-reader"
_lock = threading.Lock()
_known: tuple[PluginHost, dict[str, list[PluginReader]]] | None = None


def readers_of(suffix: str) -> Sequence[PluginReader]:
    """Give the readers of the installed plugins for an ending; the first call in a process discovers these."""
    global _known
    host = default_host()
    known = _known
    if known is None or known[0] is not host:  # another --registry, or a test that installed something
        found: dict[str, list[PluginReader]] = {}
        for component in host.components(KIND):
            reader = PluginReader(component.full_name, component.distribution, _Loaded(component, host))
            for each in component.spec.suffixes:
                found.setdefault(each, []).append(reader)
        _known = known = (host, found)
    return known[1].get(suffix, ())


def reading_of(files: Iterable[AnyPath]) -> dict[str, Any]:
    """Say which code and options of plugins decide how files are read, by ending; nothing for files that are read here."""
    host = default_host()
    offered = [(suffix, c) for c in host.components(KIND) for suffix in c.spec.suffixes]
    if not offered:  # the usual case, and there may be a million files
        return {}
    met = {os.path.splitext(os.fspath(file))[1].lower() for file in files}
    found: dict[str, Any] = {}
    for suffix, component in sorted(offered, key=lambda each: (each[0], each[1].full_name)):
        if suffix in met:
            found.setdefault(suffix, []).append(choose(host, KIND, component).identity())
    return found


class _Loaded:
    """Makes a component's reader at the first call, once for all threads."""

    def __init__(self, component: Component, host: PluginHost) -> None:
        self._component, self._host = component, host

    def __call__(self) -> ImageReader:
        with _lock:
            return self._reader

    @functools.cached_property
    def _reader(self) -> ImageReader:
        reader: ImageReader = choose(self._host, KIND, self._component).load()
        return reader
