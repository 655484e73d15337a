"""What a file of exported weights says of itself. Torch-free; nothing in it is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import safetensors
from pydantic import ValidationError

from chimera_core.errors import DataError
from chimera_core.files.atomic import broken_link, one_line, quote, typed_address
from chimera_core.files.text import parse_json
from chimera_core.files.weights import check_header
from chimera_core.options.config import Config, option

FORMAT = 1
KEY = "chimera"


class ExportedEncoder(Config):
    """What an exported encoder says of itself, beside its tensors."""

    format: int = FORMAT
    kind: Literal["encoder"] = "encoder"
    encoder: str = option(..., help="the component that it belongs to, PLUGIN:NAME")
    distribution: str = option("", help="what to install to get that component")
    options: dict[str, Any] = option({}, help="of the component")
    classes: tuple[str, ...] = option((), help="in the order of the logits")
    size: int = option(..., gt=0, help="side in pixels of the images that it learned from")
    images: int = option(0, ge=0, help="how many it has seen")
    trainer: dict[str, Any] = option({}, help="how it learned")


class ExportedFuser(Config):
    """What an exported fuser says of itself, beside its tensors."""

    format: int = FORMAT
    kind: Literal["fuser"] = "fuser"
    fuser: str = option(..., help="the component that it belongs to, PLUGIN:NAME")
    distribution: str = option("", help="what to install to get that component")
    options: dict[str, Any] = option({}, help="of the component")
    classes: tuple[str, ...] = option(..., help="that it learned, by label")
    accepts: tuple[Literal["photo", "class"], ...] = option(..., help="what its parents may be")
    max_parents: int | None = option(None, ge=2, help="None: any number")
    size: int = option(..., gt=0, le=4096, help="side in pixels of what it makes")
    facts: dict[str, Any] = option({}, help="what it knows beside tensors")
    images: int = option(0, ge=0, help="how many it has seen")


ExportedT = TypeVar("ExportedT", ExportedEncoder, ExportedFuser)


def read_notes(path: Path) -> dict[str, Any]:
    """Read the plain values that a file of tensors carries; none, where it carries none.

    Raises:
        DataError: no such file, or damaged.
    """
    if not path.is_file():
        if address := typed_address(path):
            raise DataError(f"{address}, so download it first")
        what = broken_link(path) or f"there is no file of weights {quote(path)}"
        raise DataError(f"{what}: check its name")
    check_header(path)
    try:
        # "np" opens the file without torch; no tensor of it is read here.
        with safetensors.safe_open(path, "np") as file:
            noted = parse_json((file.metadata() or {}).get(KEY, "null"))
    except Exception as error:  # the reader raises whatever a damaged file makes it stumble over
        raise DataError(f"{quote(path)} is damaged ({type(error).__name__}): get it anew") from error
    return noted if isinstance(noted, dict) else {}


def read_header(path: Path, model: type[ExportedT]) -> ExportedT:
    """Read what an exported file says of itself.

    Raises:
        DataError: no such file, damaged, exported by something else, or of another kind.
    """
    notes, kind = read_notes(path), model.model_fields["kind"].default
    if notes.get("kind") != kind:
        raise DataError(
            f"{quote(path)} does not say which {kind} it belongs to: write it with `chimera {kind} export`"
        )
    if notes.get("format") != FORMAT:
        raise DataError(
            f"{quote(path)} has format {one_line(repr(notes.get('format')), limit=40)}, this version reads {FORMAT}: "
            "update chimera-toolkit"
        )
    try:
        return model.model_validate(notes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise DataError(f"{quote(path)}: {one_line(key, limit=60)}: {first['msg']}: get it anew") from None
