"""The animals of parents, each found once."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from chimera_core.components.by_name import find_asset
from chimera_core.components.choice import choose
from chimera_core.errors import ConfigError, PluginError
from chimera_core.interfaces.additions import OutlineFinder
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.interfaces.guards import MEND, check_pixels
from chimera_core.models.encoders import load_encoder
from chimera_core.options.config import EncoderRef, suggest
from chimera_core.plugins.discovery import default_host
from chimera_core.records import Parent
from chimera_core.subjects.head import head_map
from chimera_core.subjects.options import OUTLINES, SubjectMode
from chimera_core.subjects.outline import Outline, find_outline
from chimera_core.subjects.salient import NETWORKS, find_salient
from chimera_core.subjects.window import Subject, or_whole

# With its plugin, so that a stranger who offers a "timm" too cannot get into the way.
_ENCODER = "timm:timm"


def load_outline_encoder(device: torch.device) -> FeatureEncoder:
    """Load the encoder from whose features outlines are read, frozen."""
    return load_encoder(_ENCODER, device=device).requires_grad_(False)


# What was found in a parent, for as long as that lives: the fuser that draws, the one that chose it and the one that
# gives its coat each have a finder, and would all look for the same animal.
_FOUND: WeakKeyDictionary[Parent, dict[tuple[str, str], Outline]] = WeakKeyDictionary()


class SubjectFinder:
    """Gives parents' pictures, the masks of their animals and their heads; a parent's own mask goes before what is found.

    Args:
        mode: ``auto`` finds the animal, ``whole`` takes the whole frame.
        device: where pictures and masks go.
        encoder: the fuser's own, which is used where it is the default one. The outline is read from that one's
            features, whatever draws: otherwise, or without one, it is loaded when the first parent needs it.
        made_from: what that encoder was made from.
        outline: how an animal is found; ``u2netp`` and ``isnet`` are assets, downloaded when first needed; other names
            are outline finders of plugins.
    Raises:
        ConfigError, PluginError: if there is no such way.
    """

    def __init__(
        self,
        mode: SubjectMode,
        *,
        device: torch.device,
        encoder: FeatureEncoder | None = None,
        made_from: EncoderRef | None = None,
        outline: str = "fine",
    ) -> None:
        self.mode, self.device, self.outline = mode, device, outline
        self._finder = None if outline in OUTLINES else _load_finder(outline, device)
        default = made_from is not None and made_from.name in ("timm", _ENCODER) and not made_from.options
        self._encoder = encoder if default else None
        self._found: dict[Parent, Subject] = {}
        self._confidences: dict[Parent, float] = {}
        self._heads: dict[Parent, Tensor] = {}

    def find(self, parent: Parent) -> Subject:
        """Give a parent's picture and mask; the mask may be empty where the parent brought it.

        Raises:
            ConfigError: if the parent has no picture.
            DataError, RunError: if a network that is an asset is not to be had.
        """
        if parent not in self._found:
            if parent.image is None:
                raise ConfigError(f"this fuser takes photographs, but {parent.name} is a class name")
            image = parent.image.to(self.device)
            if parent.mask is not None:
                mask = parent.mask.to(self.device)
            elif self.mode == "whole":
                mask = torch.ones_like(image[:1])
            else:
                found = self._look_once(parent, image)
                mask = or_whole(found.mask)
                self._confidences[parent] = found.confidence
            self._found[parent] = Subject(image, mask)
        return self._found[parent]

    def confidence(self, parent: Parent) -> float | None:
        """Return how sure the outline is, in [0, 1]: 0 where no animal was seen, None where none was looked for."""
        self.find(parent)
        return self._confidences.get(parent)

    def head(self, parent: Parent) -> Tensor:
        """Score every pixel of a parent's picture for being head, as `head_map` does: float (1, H, W).

        Where the whole frame is taken for the animal, none of it is head.
        """
        if parent not in self._heads:
            image, mask = self.find(parent)
            if self.mode == "whole" and parent.mask is None:
                self._heads[parent] = torch.zeros_like(mask)
            else:
                self._heads[parent] = head_map(self._network(), image, mask).to(mask)
        return self._heads[parent]

    def _look_once(self, parent: Parent, image: Tensor) -> Outline:
        if self._finder is not None:  # a plugin's may have options, or a state
            return self._look(image)
        kept = _FOUND.setdefault(parent, {})
        key = (self.outline, str(self.device))
        if key not in kept:
            kept[key] = self._look(image)
        return kept[key]

    def _look(self, image: Tensor) -> Outline:
        if self._finder is not None:
            return _checked(self._finder.find(image), image, self.outline)
        if self.outline == "u2netp" or self.outline == "isnet":
            return find_salient(find_asset(self.outline), image, NETWORKS[self.outline])
        return find_outline(self._network(), image, quality="fine" if self.outline == "fine" else "fast")

    def _network(self) -> FeatureEncoder:
        if self._encoder is None:
            self._encoder = load_outline_encoder(self.device)
        return self._encoder


def _load_finder(name: str, device: torch.device) -> OutlineFinder:
    host, kind = default_host(), "outline-finder"
    if not host.has(kind, name) and ":" not in name:
        known = [*OUTLINES, *(component.spec.name for component in host.components(kind))]
        raise ConfigError(f"there is no outline '{name}'" + suggest(name, known))
    finder: OutlineFinder = choose(host, kind, name).load(device=device)
    return finder


def _checked(found: tuple[Tensor, float], image: Tensor, name: str) -> Outline:
    """Refuse what is no mask of an image: its shape would end far from its cause."""
    mask, confidence = found
    check_pixels(mask, f"outline finder {name}")
    if mask.shape != image[:1].shape:
        raise PluginError(
            f"outline finder {name} gave a mask {tuple(mask.shape)} for an image {tuple(image.shape)}: {MEND}"
        )
    return Outline(mask.to(image), float(confidence))
