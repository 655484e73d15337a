"""Which columns are image and class, recognised by the features' types, then by names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chimera_core.api import ConfigError, DataError, one_line

LABEL_NAMES = ("label", "labels", "class", "category", "target", "species", "breed")
IMAGE_NAMES = ("image", "img", "picture", "photo")
NO_LABEL = "none"


@dataclass(frozen=True)
class Columns:
    """The columns of image and class; an empty ``label`` makes all images one class."""

    image: str
    label: str


def find_columns(features: Mapping[str, Any], *, image: str, label: str) -> Columns:
    """Choose the columns of image and class.

    Args:
        features: of a data set, by column.
        image: the user's choice; empty: recognise it.
        label: the user's choice; empty: recognise it; ``none``: no column.
    Raises:
        ConfigError: if there are several, or none of the user's name.
        DataError: if there are no images.
    """
    pictures = [name for name, feature in features.items() if _holds_images(name, feature)]
    classes = [name for name, feature in features.items() if _holds_classes(feature)]
    if image or label not in ("", NO_LABEL):
        for chosen, known, what in ((image, pictures, "images"), (label, classes, "classes")):
            if chosen and chosen != NO_LABEL and chosen not in known:
                raise ConfigError(f"column '{chosen}' holds no {what}: {_listed(known, what)}")
    if not pictures:
        raise DataError(f"no column holds images: the columns are {', '.join(map(one_line, features))}")
    image = image or _only(pictures, IMAGE_NAMES)
    if not image:
        raise ConfigError(f"several columns hold images: choose one with --image ({', '.join(pictures)})")
    if label == NO_LABEL:
        return Columns(image, "")
    return Columns(image, label or _label_of(features, classes))


def _label_of(features: Mapping[str, Any], classes: Sequence[str]) -> str:
    named = [name for name in classes if _kind(features[name]) == "ClassLabel"]
    found = _only(named, LABEL_NAMES) or (not named and _only(classes, LABEL_NAMES)) or ""
    if not found and classes:
        raise ConfigError(
            f"which column is the class? choose one with --label ({', '.join(map(one_line, classes))}), or --label none"
        )
    return found


def _only(names: Sequence[str], preferred: Sequence[str]) -> str:
    """Give the only name, or the only one that is called as its like are; empty where neither is."""
    if len(names) == 1:
        return names[0]
    return next((want for want in preferred for name in names if name == want), "")


def class_names(features: Mapping[str, Any], label: str, values: Sequence[Any]) -> tuple[str, ...]:
    """Name the classes of a label column.

    Args:
        features: of the data set.
        label: its column.
        values: that occur in any split.
    """
    feature = features[label]
    if _kind(feature) == "ClassLabel":
        return tuple(map(str, feature.names))
    if getattr(feature, "dtype", "") == "bool":
        return (f"not-{label}", label)
    return tuple(map(str, sorted({v for v in values if v is not None})))


def numbers_of(feature: Any, names: Sequence[str], values: Sequence[Any]) -> list[int | None]:
    """Number labels by class; None for an image without one (the hub writes -1)."""
    if _kind(feature) == "ClassLabel" or getattr(feature, "dtype", "") == "bool":
        return [int(v) if v is not None and 0 <= int(v) < len(names) else None for v in values]
    number = {name: k for k, name in enumerate(names)}
    return [None if v is None else number[str(v)] for v in values]


def _holds_images(name: str, feature: Any) -> bool:
    if _kind(feature) == "Image":
        return True
    # Parquet files of other programs do not name the type: bytes, or the pair that the library itself stores.
    if isinstance(feature, dict):
        return set(feature) == {"bytes", "path"} and _dtype(feature["bytes"]) in _BYTES
    return name in IMAGE_NAMES and _dtype(feature) in _BYTES


def _holds_classes(feature: Any) -> bool:
    return _kind(feature) == "ClassLabel" or _dtype(feature) in _CLASSES


def _kind(feature: Any) -> str:
    return type(feature).__name__


def _dtype(feature: Any) -> str:
    return str(getattr(feature, "dtype", "")) if _kind(feature) == "Value" else ""


def _listed(known: Sequence[str], what: str) -> str:
    return f"those that do are {', '.join(map(one_line, known))}" if known else f"no column holds {what}"


_BYTES = ("binary", "large_binary")
_CLASSES = (
    "string", "large_string", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
