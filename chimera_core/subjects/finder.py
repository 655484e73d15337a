"""The animals of parents, each found once."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from chimera_core.errors import ConfigError
from chimera_core.interfaces import FeatureEncoder
from chimera_core.options import EncoderRef
from chimera_core.records import Parent
from chimera_core.subjects.finding import find_subject
from chimera_core.subjects.window import Subject
from chimera_core.use import load_encoder

# With its plugin, so that a stranger who offers a "timm" too cannot get into the way.
_ENCODER = "timm:timm"


class SubjectFinder:
    """Gives parents' pictures and the masks of their animals; a parent's own mask goes before what is found.

    Args:
        mode: ``auto`` finds the animal, ``whole`` takes the whole frame.
        device: where pictures and masks go.
        encoder: the fuser's own, which is used where it is the default one. Finding the animal needs ImageNet's
            classes, whatever draws: otherwise, or without one, the default encoder is loaded when the first parent
            needs it.
        made_from: what that encoder was made from.
    """

    def __init__(
        self,
        mode: Literal["auto", "whole"],
        *,
        device: torch.device,
        encoder: FeatureEncoder | None = None,
        made_from: EncoderRef | None = None,
    ) -> None:
        self.mode, self.device = mode, device
        default = made_from is not None and made_from.name in ("timm", _ENCODER) and not made_from.options
        self._encoder = encoder if default else None
        self._found: dict[Parent, Subject] = {}

    def find(self, parent: Parent) -> Subject:
        """Give a parent's picture and mask; the mask may be empty where the parent brought it.

        Raises:
            ConfigError: if the parent has no picture.
        """
        if parent not in self._found:
            if parent.image is None:
                raise ConfigError(f"this fuser takes photographs, but {parent.name} is a class name")
            image = parent.image.to(self.device)
            mask = parent.mask.to(self.device) if parent.mask is not None else self._mask(image)
            self._found[parent] = Subject(image, mask)
        return self._found[parent]

    def _mask(self, image: Tensor) -> Tensor:
        if self.mode == "whole":
            return torch.ones_like(image[:1])
        if self._encoder is None:
            self._encoder = load_encoder(_ENCODER, device=self.device).requires_grad_(False)
        return find_subject(self._encoder, image)
