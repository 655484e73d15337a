"""``parts``: the body of the first photograph, the head of the second, the coat of a third."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from chimera_core.api import (
    ConfigError,
    EncoderRef,
    FusionGenerator,
    Parent,
    SubjectFinder,
    load_encoder,
    load_fuser,
    parent_pixels,
)
from chimera_parts.animals import Animal, look_at
from chimera_parts.choosing import Choice, choose
from chimera_parts.config import PartsConfig, parse_line
from chimera_parts.growing import Stage, grown

# The default encoder and coat, with their plugins, so that a stranger's namesakes do not get in the way.
_ENCODER, COAT = "timm:timm", "style:style-transfer"
# A body whose head covers more than this share of what is in sight has no body to speak of.
_ALL_HEAD = 0.75
# A head in which the probe believes less than this is none.
_LEAST_CONFIDENCE = 0.35
# Shares of the work: animals looked at, cuts chosen, joined, and dressed in a coat.
_LOOKED, _CHOSEN, _JOINED, _COATED = 0.2, 0.5, 0.9, 0.97


class Parts(FusionGenerator):
    """Join the body of one animal and the head of another; a third gives its coat.

    With P parents of weights w, the head has grown to ``min(1, P w_1)`` of its own shape and colours: from equal weights
    on it is all there. Of two parents, weights of the head beyond one half spread its coat from the neck over the body; a
    third parent's coat has spread to ``min(1, 3 w_2)``. Seeds take other cuts, the best first. A body without ground
    stays a cut-out: the result then has a fourth channel, its opacity.

    Source: ours; pyramids after Burt and Adelson 1983, patches after Wexler et al. 2007.
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True
    max_parents: ClassVar[int | None] = 3

    config: PartsConfig

    def __init__(self, config: PartsConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        self.encoder = load_encoder(_ENCODER, device=self.device).requires_grad_(False)
        self._finder = SubjectFinder(
            "auto", device=self.device, encoder=self.encoder, made_from=EncoderRef(name=_ENCODER)
        )
        self._animals: dict[tuple[Parent, int], Animal] = {}
        self._choices: dict[tuple[int, int], list[Choice]] = {}
        self._stages: dict[tuple[object, ...], Stage] = {}
        self._coat: FusionGenerator | None = None

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed; see ``FusionGenerator.fuse``.

        Returns:
            float32 (N, 3, h, w), or (N, 4, h, w) with opacity where the first parent is a cut-out.
        Raises:
            ConfigError: if the first parent has no neck at which a head could sit, or the second no head.
        """
        made = []
        for k, seed in enumerate(seeds):

            def report(share: float, k: int = k) -> None:
                self.progress((k + share) / len(seeds), 1.0)

            made.append(self._creature(parents, weights, seed=seed, size=size, report=report))
        return torch.stack(made)

    def findings(self, parents: Sequence[Parent]) -> list[dict[str, Any]]:
        """Return what was seen in each parent: head box and cut as shares of the picture, and how sure they are."""
        facts = []
        for k, parent in enumerate(parents):
            seen = self._animal(parent, k).described()
            if seen["outline"] is not None:
                # None where the parent brought its own outline.
                seen["outline"]["confidence"] = self._finder.confidence(parent)
            facts.append(seen)
        return facts

    def unfit(self, parents: Sequence[Parent]) -> str | None:
        """Return why parents do not suit this fuser, or None if they do.

        A body is wanted in the first, a head in the second, and three parents at most.
        """
        if len(parents) > (self.max_parents or len(parents)):
            return f"parts takes {self.max_parents} parents at most"
        body, head = (self._animal(parent, k) for k, parent in enumerate(parents[:2]))
        return _misfit(body, head)

    def lacks_crown(self, parent: Parent) -> bool:
        """Return whether the second parent's picture cuts ears and crown off its head."""
        return self._animal(parent, 1).lacks_crown

    def _creature(
        self,
        parents: Sequence[Parent],
        weights: Sequence[float],
        *,
        seed: int,
        size: int,
        report: Callable[[float], None],
    ) -> Tensor:
        layout = parent_pixels(parents[0], size)
        if weights[0] >= 1:
            return layout
        animals = [self._animal(parent, k) for k, parent in enumerate(parents[:2])]
        # A coat takes far longer than all the rest, where it is not drawn yet.
        looked, chosen, joined = (
            (_LOOKED, _CHOSEN, _JOINED) if len(parents) == 2 and weights[1] <= 0.5 else (0.02, 0.035, 0.05)
        )
        report(looked)
        choices = self._chosen(*animals, report=lambda share: report(looked + (chosen - looked) * share))
        choice = choices[seed % len(choices)]
        shape = (layout.shape[-2], layout.shape[-1])
        head = min(1.0, len(parents) * weights[1])
        coat, of = (weights[2] * 3, parents[2]) if len(parents) == 3 else (2 * weights[1] - 1, parents[1])
        coat = min(1.0, coat) if self.config.coat == "auto" else 0.0
        key = (*map(id, parents[:2]), seed % len(choices), shape, None)
        if key not in self._stages:
            drawn = Stage.of(
                animals[0],
                animals[1],
                choice,
                shape,
                harmony=self.config.harmony,
                report=lambda share: report(chosen + (joined - chosen) * share),
            )
            self._stages = {key: drawn}
        stage = self._stages[key]
        report(joined)
        dressed = None
        if coat > 0:

            def coated(share: float) -> None:
                report(joined + (_COATED - joined) * share)

            dressed = self._dressed(
                stage, animals, choice, parents[0], of, seed=seed, shape=shape, report=coated
            )
        made = grown(stage, head, dressed=dressed, coat=coat)
        report(1.0)
        return torch.from_numpy(np.ascontiguousarray(made.transpose(2, 0, 1)))

    def _animal(self, parent: Parent, index: int) -> Animal:
        """Look at a parent once; sweeps and seeds use it again."""
        key = (parent, index)
        if key not in self._animals:
            hint = self.config.hinted_head(index)
            necks = self.config.neck
            neck = parse_line(necks[index]) if index < len(necks) and necks[index] != "auto" else None
            found = self._finder.find(parent)
            self._animals[key] = look_at(
                self.encoder, parent, found.mask, gives_head=index == 1, hint=hint, neck=neck
            )
        return self._animals[key]

    def _chosen(self, body: Animal, head: Animal, *, report: Callable[[float], None]) -> list[Choice]:
        key = (id(body), id(head))
        if key not in self._choices:
            if (reason := _misfit(body, head)) is not None:
                raise ConfigError(
                    f"{reason}: take a picture that shows more, or tell where the head is with --head-box"
                )
            self._choices[key] = choose(body, head, size=self.config.head_size, report=report)
        return self._choices[key]

    def _dressed(
        self,
        stage: Stage,
        animals: Sequence[Animal],
        choice: Choice,
        body: Parent,
        coat: Parent,
        *,
        seed: int,
        shape: tuple[int, int],
        report: Callable[[float], None],
    ) -> Stage:
        """Draw the same creature with a body in another's coat; the last one is kept."""
        key = (id(body), id(animals[1]), id(coat), choice, seed, shape)
        if key not in self._stages:
            if self._coat is None:
                self._coat = load_fuser(COAT, device=self.device)
            self._coat.progress = lambda done, total: report(done / total)
            drawn = self._coat.fuse([body, coat], [0.0, 1.0], seeds=[seed], size=min(shape))[0, :3]
            image = np.ascontiguousarray(drawn.cpu().permute(1, 2, 0).numpy())
            dressed = animals[0].in_coat(image)
            self._stages[key] = Stage.of(
                dressed, animals[1], choice, shape, harmony=self.config.harmony, keeps_coat=True
            )
        return self._stages[key]


def _misfit(body: Animal, head: Animal) -> str | None:
    """Return why one's head cannot go on the other's body, or None if it can."""
    if not body.cuts or body.confidence < _LEAST_CONFIDENCE:
        return f"no head with a neck was found in {body.name} that another could take the place of"
    if body.head_share > _ALL_HEAD:
        return f"{body.name} shows no body, only a head"
    if not head.cuts or head.confidence < _LEAST_CONFIDENCE:
        return f"no head was found in {head.name}"
    return None
