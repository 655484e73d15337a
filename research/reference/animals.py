"""Which pictures make the built-in reference, and which are kept out of it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

_EXAMPLES = Path(__file__).parents[2] / "examples"
# Pictures of each kind at most: (folder of the data, whether its folders are the kinds, pictures of a kind).
SOURCES = {
    "tiny-animals/train": 48,
    "more-photos": 1,
    "pacs/photo": 60,
    "scenes": 60,
}
SMALL = ("tiny-animals",)
"""Sources of 64 px, which show nothing at a larger size."""
# A test wants no face in these.
TESTED = frozenset({"more-photos/chambered_nautilus", "more-photos/stingray"})
_NO_ANIMALS = ("person",)


def reference_files(data: Path, *, size: int) -> list[tuple[str, Path]]:
    """Give (kind, file) of all pictures of the reference that are large enough for a size, in a fixed order.

    No picture of ``examples/*/pairs*.txt`` is among them, on which creatures are judged; none of ``photos``, which the twelve
    pairs, the blind choices and most tests are made of; nor a face of ``faces``, ``afhq`` and ``lion-faces``.
    """
    away = paired() | TESTED
    found: list[tuple[str, Path]] = []
    for source, most in SOURCES.items():
        if size > 64 and source.startswith(SMALL):
            continue
        by_kind: dict[str, list[Path]] = defaultdict(list)
        for file in sorted((data / source).rglob("*.*")):
            name = file.relative_to(data).with_suffix("").as_posix()
            kind = file.stem if file.parent.name == source else file.parent.name
            if name not in away and kind not in _NO_ANIMALS:
                by_kind[kind].append(file)
        for kind, files in by_kind.items():
            # Evenly, because neighbours may be one animal.
            step = max(1, len(files) // most)
            found += [(kind, file) for file in files[::step][:most]]
    return found


def spread_over_kinds(kinds: list[str], count: int) -> list[int]:
    """Choose so many, the first of each kind, then the second of each ...: indices in order."""
    turns: dict[str, int] = defaultdict(int)
    order = []
    for index, kind in enumerate(kinds):
        order.append((turns[kind], index))
        turns[kind] += 1
    return sorted(index for _, index in sorted(order)[:count])


def paired() -> frozenset[str]:
    """Name the pictures on which creatures are judged (``more-photos/crane``), of all lists of pairs."""
    lines = [line for file in _EXAMPLES.glob("*/pairs*.txt") for line in file.read_text().splitlines()]
    names = (name for line in lines if not line.startswith("#") for name in line.split())
    return frozenset(name.removesuffix(".jpg") for name in names)
