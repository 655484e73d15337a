"""What a user takes away: the picture under a name that says what it is, the command that makes it again, the settings."""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chimera_core.files.atomic import atomic_path
from chimera_core.files.toml import to_toml
from chimera_core.options.flags import Flag
from chimera_core.studio.asks import Ask
from chimera_core.studio.fuser_options import words_for
from chimera_core.studio.parents import distinct_names

SETTINGS, MASKS = "config.toml", "masks"


def title_of(ask: Ask) -> str:
    """Name a picture after its parents and weights: ``llama-lion-50-50-seed0``."""
    parents = [re.sub(r"[^\w]+", "-", Path(name).stem).strip("-_")[:24] or "parent" for name in ask.parents]
    weights = [f"{100 * weight:.0f}" for weight in ask.weights]
    return "-".join([*parents, *weights, f"seed{ask.seed}"])


def command_for(
    ask: Ask, flags: Sequence[Flag], options: Mapping[tuple[str, ...], Any], *, moving: int = 0
) -> str:
    """Write the line that makes the same bytes, to be run in the folder where the photographs lie.

    Args:
        flags: of the fuser.
        options: set on the page, by path.
        moving: frames of a sweep; 0: one picture.
    """
    words = ["chimera", "fuse"]
    # A name that begins with a dash would be taken for a flag.
    words += [f"./{name}" if name.startswith("-") else name for name in file_names(ask)]
    if ask.fuser:
        words += ["--fuser", ask.fuser]
    if ask.preset:
        words += ["--preset", ask.preset]
    words += ["--weights", ",".join(f"{weight:g}" for weight in ask.weights)]
    if ask.seed:
        words += ["--seed", str(ask.seed)]
    if ask.size is not None:
        words += ["--size", str(ask.size)]
    for mask in mask_names(ask):
        words += ["--mask", mask]
    if ask.background != "keep":
        words += ["--background", ask.background]
    words += words_for(flags, options)
    if moving:
        words += ["--sweep", str(moving)]
    words += ["-o", "creature.gif" if moving else "creature.png"]
    return shlex.join(words)


def file_names(ask: Ask) -> list[str]:
    """Name the parents as they lie beside ``config.toml``; names stay names."""
    return distinct_names([Path(name).name if Path(name).is_absolute() else name for name in ask.parents])


def mask_names(ask: Ask) -> list[str]:
    """Name the masks as they lie beside ``config.toml``; none where all outlines are found."""
    if all(mask == "auto" for mask in ask.masks):
        return []
    return [f"{MASKS}/{k + 1}.png" if mask != "auto" else "auto" for k, mask in enumerate(ask.masks)]


def write_settings(path: Path, ask: Ask, command: str, picture: Path | None = None) -> Path:
    """Write a ZIP that makes the picture anywhere: ``config.toml``, the photographs and the brushed outlines.

    Args:
        command: that a reader may type instead.
        picture: that was made, to lie beside them.
    """
    names, masks = file_names(ask), mask_names(ask)
    again = "chimera fuse --config config.toml -o creature.png"
    comment = f"# Makes the picture again, in this folder:\n#   {again}\n# or:\n#   {command}\n"
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(SETTINGS), comment + to_toml(ask.table(names, masks)))
        for name, parent in zip(names, ask.parents, strict=True):
            if Path(parent).is_absolute():
                archive.writestr(_entry(name), Path(parent).read_bytes())
        if picture is not None:
            name = distinct_names([*names, f"{title_of(ask)}.png"])[-1]
            archive.writestr(_entry(name), picture.read_bytes())
        for name, mask in zip(masks, ask.masks, strict=False):
            if mask != "auto":
                archive.writestr(_entry(name), Path(mask).read_bytes())
    return path


def _entry(name: str) -> zipfile.ZipInfo:
    """Name a file in a ZIP, with no time: equal settings give equal bytes."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry
