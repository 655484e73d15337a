"""What a component's spec must hold before anything of it is shown or used. Torch-free."""

from __future__ import annotations

import re

from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import one_line
from chimera_core.images.decoding import PICTURE_SUFFIXES
from chimera_core.options.flags import check_flags
from chimera_core.plugins.load_errors import SpecError
from chimera_core.records import ComponentSpec, Preset

_NO_PICTURES = frozenset({".csv", ".json", ".safetensors", ".toml"})  # files of ours that lie among pictures


def check_spec(spec: ComponentSpec, kind: str) -> None:
    """Refuse a spec that listing, help or use would stumble over.

    Raises:
        SpecError: with what is wrong, and what its author changes.
    """
    if not (isinstance(spec.name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", spec.name)):
        raise SpecError(
            f"it names a {kind} {one_line(repr(spec.name), limit=80)}, which is not kebab-case",
            change="write small letters, digits and single dashes",
        )
    what = f"{kind} {spec.name}"
    if not isinstance(spec.summary, str):
        raise SpecError(f"the summary of {what} is not text", change="give a str")
    if not (isinstance(spec.target, str) and re.fullmatch(r"[\w.]+:\w+", spec.target)):
        raise SpecError(
            f"the target of {what} is {one_line(repr(spec.target), limit=80)}, not 'package.module:Class'",
            change="name module and class, with a colon",
        )
    if not all(isinstance(preset, Preset) for preset in spec.presets):
        raise SpecError(f"a preset of {what} is not a Preset", change="make each with Preset(...)")
    if isinstance(spec.requires, str) or not all(isinstance(name, str) for name in spec.requires):
        raise SpecError(
            f"what {what} requires is not a tuple of import names", change="write requires=('name',)"
        )
    _check_suffixes(spec, kind)
    try:
        check_flags(spec.config)
    except ChimeraError as error:
        raise SpecError(
            f"the config of {what} cannot become options: {error}", change="mend that option"
        ) from None


def _check_suffixes(spec: ComponentSpec, kind: str) -> None:
    """Refuse endings that are none, or that are read here: a plugin replaces nothing of ours."""
    what = f"{kind} {spec.name}"
    if kind != "image-reader":
        if spec.suffixes:
            raise SpecError(f"{what} names suffixes, which only an image-reader has", change="leave them out")
        return
    if isinstance(spec.suffixes, str) or not spec.suffixes:
        raise SpecError(
            f"{what} does not say which files it reads with suffixes=('.ending',)", change="add that"
        )
    for suffix in spec.suffixes:
        if not (isinstance(suffix, str) and re.fullmatch(r"\.[a-z0-9_-]{1,16}", suffix)):
            raise SpecError(
                f"{what} has the suffix {one_line(repr(suffix), limit=40)}: write it in small letters with its dot, '.qoi'",
                change="mend suffixes",
            )
        if suffix in PICTURE_SUFFIXES or suffix in _NO_PICTURES:
            raise SpecError(
                f"{what} takes {suffix}, which the toolkit reads itself", change="take another ending"
            )
