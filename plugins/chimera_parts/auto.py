"""``auto``: the fuser of photographs that suits what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from chimera_core.api import FusionGenerator, Parent, load_fuser
from chimera_parts.config import PartsConfig
from chimera_parts.fuser import COAT, Parts

# With its plugin, so that a stranger's namesake does not get in the way.
_PORTRAIT = "portrait:portrait"
# A head fills its frame if its box is this share of the picture's shorter side; a face, which is less of it, if this one.
_LARGE_HEAD, _LARGE_FACE = 0.4, 0.5
# Faces at least this sure and this large, as a share of the shorter side, are worth a portrait.
_SURE, _SMALL_FACE = 0.6, 0.16


class Auto(FusionGenerator):
    """Choose between ``parts``, ``portrait`` and coats for the parents at hand; only fusers of ours are chosen.

    Photographs whose heads all fill the frame go to ``portrait``, if faces are found in them. Two, the first with a body and
    a neck and the second with a head, go to ``parts``, as do three. Of the others, and where the second one's picture cuts
    ears and crown off its head, those with faces go to ``portrait``; the rest to ``style-transfer``. ``remark`` gets a line
    that tells which, and why.
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True

    config: PartsConfig

    def __init__(self, config: PartsConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        self._parts = Parts(config, device=device)
        self._others: dict[str, FusionGenerator] = {}
        self._chosen: dict[tuple[Parent, ...], FusionGenerator] = {}

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed, by the fuser chosen; see ``FusionGenerator.fuse``."""
        fuser = self._choose(tuple(parents))
        fuser.progress, fuser.remark = self.progress, self.remark
        self.keeps_outline = fuser.keeps_outline
        return fuser.fuse(parents, weights, seeds=seeds, size=size)

    def findings(self, parents: Sequence[Parent]) -> Sequence[Mapping[str, Any]]:
        """Return what was seen in the parents, by the fuser chosen if it looks for anything, else by ``parts``."""
        chosen = self._chosen.get(tuple(parents), self._parts)
        return chosen.findings(parents) or self._parts.findings(parents)

    def _choose(self, parents: tuple[Parent, ...]) -> FusionGenerator:
        if parents not in self._chosen:
            name, why = self._suitable(parents)
            self.stand_in = name.split(":")[-1]
            self.remark(f"fuser: {self.stand_in} ({why})")
            self._chosen[parents] = self._parts if name == "parts" else self._other(name)
        return self._chosen[parents]

    def _suitable(self, parents: Sequence[Parent]) -> tuple[str, str]:
        """Give the fuser for these parents, and the reason."""
        unfit = self._parts.unfit(parents)
        heads = [finding["head"] for finding in self._parts.findings(parents)]
        # Without its crown a head on a strange body looks sawn off; as a face, it needs none.
        is_cropped = unfit is None and self._parts.lacks_crown(parents[1])
        # Looking for faces takes as long as all the rest; where bodies are in sight, nobody asked for it.
        if unfit is not None or is_cropped or _all_at_least(_LARGE_HEAD, heads, parents):
            faces = [finding["face"] for finding in self._other(_PORTRAIT).findings(parents)]
            sure = all(
                face and face["left_eye"] and face["right_eye"] and face["confidence"] >= _SURE
                for face in faces
            )
            least = _SMALL_FACE if unfit or (is_cropped and _is_within(faces[0], heads[0])) else _LARGE_FACE
            if sure and _all_at_least(least, faces, parents):
                cropped = (
                    f", for the picture of {parents[1].name} cuts its head off above" if is_cropped else ""
                )
                return _PORTRAIT, f"the faces of {_listed(parents)}{cropped}"
        if unfit is not None:
            return COAT, unfit
        coat = f", the coat of {parents[2].name}" if len(parents) > 2 else ""
        return "parts", f"the body of {parents[0].name}, the head of {parents[1].name}{coat}"

    def _other(self, name: str) -> FusionGenerator:
        if name not in self._others:
            options = {"head_box": self.config.head_box} if name == _PORTRAIT else {}
            self._others[name] = load_fuser(name, device=self.device, **options)
        return self._others[name]


def _all_at_least(least: float, found: Sequence[Mapping[str, Any] | None], parents: Sequence[Parent]) -> bool:
    """Return whether something was found in every parent, and its box is that share of the shorter side."""
    for seen, parent in zip(found, parents, strict=True):
        if seen is None or parent.image is None:
            return False
        height, width = parent.image.shape[-2:]
        left, top, right, bottom = seen["box"]
        if max((right - left) * width, (bottom - top) * height) < least * min(height, width):
            return False
    return True


def _is_within(face: Mapping[str, Any] | None, head: Mapping[str, Any] | None) -> bool:
    """Return whether a face's middle lies in a head's box: both are of one animal."""
    if face is None or head is None:
        return False
    middle = [(face["box"][k] + face["box"][k + 2]) / 2 for k in (0, 1)]
    return all(head["box"][k] <= middle[k] <= head["box"][k + 2] for k in (0, 1))


def _listed(parents: Sequence[Parent]) -> str:
    names = [parent.name for parent in parents]
    return f"{', '.join(names[:-1])} and {names[-1]}"
