"""Decode every image of a source once, to know which files cannot be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from chimera_core.errors import DataError
from chimera_core.interfaces.components import DatasetSource, Split
from chimera_core.records import SourceInfo

CHECKED_AT_MOST = 20_000
"""Above so many images, describing a source does not decode them: preparing it does, and lists the bad ones."""


def checked_info(source: DatasetSource) -> SourceInfo:
    """Describe a source with the files that cannot be read listed, and left out of the splits' counts."""
    info = source.info
    total = sum(info.splits.values())
    if total > CHECKED_AT_MOST:
        note = (
            f"{total:,} images were not decoded to find unreadable ones: `chimera source prepare` does that"
        )
        return replace(info, notes=(*info.notes, note))
    faults = {name: faults_of(source.open(name)) for name in info.splits}
    return replace(
        info,
        splits={name: count - len(faults[name]) for name, count in info.splits.items()},
        unreadable=(*info.unreadable, *(fault for found in faults.values() for fault in found)),
    )


def faults_of(split: Split) -> list[str]:
    """Say of every example that cannot be decoded why; in the order of the split."""

    def fault(index: int) -> str:
        try:
            split[index]
        except DataError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        return [found for found in pool.map(fault, range(len(split))) if found]
