"""``portrait``: faces of photographs become one face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor

from chimera_core.api import (
    ConfigError,
    EncoderRef,
    Face,
    FusionGenerator,
    Parent,
    SubjectFinder,
    find_faces,
    load_encoder,
    parent_pixels,
)
from chimera_portrait.config import PortraitConfig
from chimera_portrait.drawing import draw
from chimera_portrait.frames import Similarity
from chimera_portrait.framing import framed_canvas, presence
from chimera_portrait.heads import heads
from chimera_portrait.placed import Placed, apart, laid_on
from chimera_portrait.shares import Meeting, surroundings

# The default encoder with its plugin, so that a stranger's namesake does not get in the way.
_ENCODER = "timm:timm"
# From this confidence on a face counts as a person's.
_PERSON = 0.5
# Faces turned apart by more than this, in units of the nose, seldom become one.
_TOO_FAR_APART = 0.45


class Portrait(FusionGenerator):
    """Join faces: one parent's head, ears and surroundings (the canvas), with the others' faces grown into it.

    A guest's weight w against the canvas' moves the shape of the face, its coarse light and its colours by w; the detail of
    eyes, nose, mouth and coat comes from one picture each, and passes to the guest at weights of their own. More guests join
    one after the other. Seeds divide the face in four ways, the best first; where a person and an animal meet, they keep the
    one's head and the other's in turn. The result has the first parent's frame; if another one is the canvas, the first's
    surroundings take over as its weight nears 1.

    Source: ours; warps after Bookstein 1989, bands after Burt and Adelson 1983.
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True

    config: PortraitConfig

    def __init__(self, config: PortraitConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        self._encoder = load_encoder(_ENCODER, device=self.device).requires_grad_(False)
        # A fine outline takes longer than all the rest, and nobody sees the difference: its rim is left out.
        self._finder = SubjectFinder(
            "auto",
            device=self.device,
            encoder=self._encoder,
            made_from=EncoderRef(name=_ENCODER),
            outline="fast",
        )
        self._faces: dict[tuple[Parent, int], Face | None] = {}
        self._sitters: dict[tuple[Parent, int], Placed] = {}
        self._warned: set[tuple[Parent, ...]] = set()

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed; see ``FusionGenerator.fuse``.

        Returns:
            float32 (N, 3, h, w), or (N, 4, h, w) with opacity where the first parent is a cut-out.
        Raises:
            ConfigError: if a picture holds no face with both eyes in sight, or the canvas is none of the parents.
        """
        first = parent_pixels(parents[0], size).cpu()
        if weights[0] >= 1:
            return first.expand(len(seeds), *first.shape).clone()
        sitters = [self._sitter(parent, k) for k, parent in enumerate(parents)]
        kept = self._heads(sitters)
        self._warn(parents, sitters, kept[0])
        made = []
        for k, seed in enumerate(seeds):
            variant, head = divmod(seed, len(kept))
            made.append(self._creature(first, sitters, kept[head], weights, variant=variant))
            self.progress(k + 1, len(seeds))
        return torch.stack(made)

    def findings(self, parents: Sequence[Parent]) -> list[dict[str, Any]]:
        """Return which face was found in each parent: points and box as shares of the picture, and how sure they are."""
        return [_described(parent, self._face(parent, k)) for k, parent in enumerate(parents)]

    def _creature(
        self, first: Tensor, sitters: Sequence[Placed], canvas: int, weights: Sequence[float], *, variant: int
    ) -> Tensor:
        """Draw one: float32 (3 or 4, h, w)."""
        start = sitters[0].with_image(np.ascontiguousarray(first[:3].permute(1, 2, 0).numpy()))
        made, around, frame = start, start, start.alpha.shape
        beyond = np.zeros(frame, np.float32)
        if canvas != 0:
            share = weights[0] / max(weights[0] + weights[canvas], 1e-9)
            made, around = framed_canvas(sitters[canvas], start, share=share)
            beyond = np.float32(surroundings(share)) * presence(around, frame)
            made, around = made.in_frame(frame), around.in_frame(frame)
        total = weights[canvas]
        for k, guest in enumerate(sitters):
            if k == canvas or weights[k] <= 0:
                continue
            total += weights[k]
            source = start if k == 0 else guest
            made = draw(
                made,
                laid_on(source, made),
                weights[k] / total,
                meeting=_meeting(made, source),
                variant=variant,
            )
        drawn = [made.image + (around.image - made.image) * beyond[..., None]]
        if first.shape[0] == 4:
            # A photograph as canvas has surroundings, which are opaque.
            opacity = made.alpha if sitters[canvas].is_cutout else np.ones_like(made.alpha)
            drawn.append((opacity + (around.alpha - opacity) * beyond)[..., None])
        return torch.from_numpy(np.ascontiguousarray(np.concatenate(drawn, 2).transpose(2, 0, 1)))

    def _heads(self, sitters: Sequence[Placed]) -> tuple[int, ...]:
        """Choose whose heads seeds keep in turn: indices into the parents."""
        if self.config.canvas == "auto":
            return heads(sitters)
        number = int(self.config.canvas)
        if number > len(sitters):
            raise ConfigError(f"--canvas is {number}, but there are {len(sitters)} parents: name one of them")
        return (number - 1,)

    def _sitter(self, parent: Parent, index: int) -> Placed:
        """Look at a parent once; sweeps and seeds use it again."""
        key = (parent, index)
        if key not in self._sitters:
            face = self._face(parent, index)
            if face is None:
                raise ConfigError(
                    f"no face was found in {parent.name}: take a picture in which a face is larger, or tell where the "
                    "head is with --head-box"
                )
            if not np.isfinite(face.points).all():
                raise ConfigError(
                    f"the face in {parent.name} is turned too far aside: take a picture that shows both eyes"
                )
            image, mask = self._finder.find(parent)
            self._sitters[key] = Placed(
                np.ascontiguousarray(image.cpu().permute(1, 2, 0).numpy()),
                _piece_of(mask[0].cpu().numpy(), face.points),
                face.points,
                Similarity(),
                is_fur=face.person < _PERSON,
                is_cutout=parent.is_cutout,
            )
        return self._sitters[key]

    def _face(self, parent: Parent, index: int) -> Face | None:
        """Find the face that is meant in a parent's picture."""
        key = (parent, index)
        if key not in self._faces:
            if parent.image is None:
                raise ConfigError(f"portrait takes photographs, but {parent.name} is a class name")
            height, width = parent.image.shape[-2:]
            near = None
            if (hint := self.config.hinted_head(index)) is not None:
                left, top, right, bottom = hint
                near = (
                    round(top * height),
                    round(bottom * height),
                    round(left * width),
                    round(right * width),
                )
            numbers = self.config.face
            found = find_faces(self._encoder, parent.image.to(self.device), near=near)
            number = numbers[index] if index < len(numbers) else 1
            if number > max(len(found), 1):
                raise ConfigError(
                    f"--face asks for face {number} of {parent.name}, but {len(found)} were found there"
                )
            self._faces[key] = found[number - 1] if found else None
        return self._faces[key]

    def _warn(self, parents: Sequence[Parent], sitters: Sequence[Placed], canvas: int) -> None:
        """Tell once whose faces look to different sides."""
        key = tuple(parents)
        if key in self._warned:
            return
        self._warned.add(key)
        for parent, sitter in zip(parents, sitters, strict=True):
            if apart(sitters[canvas], sitter) > _TOO_FAR_APART:
                self.remark(
                    f"the faces of {parents[canvas].name} and {parent.name} are turned to different sides: pictures "
                    "that look the same way make better creatures"
                )


def _piece_of(mask: Any, points: Any) -> Any:
    """Keep of an outline (H, W) the piece that a face (5, 2) lies in: another animal in the picture is none of its own."""
    _, pieces = cv2.connectedComponents((mask > 0.5).astype(np.uint8), connectivity=8)
    height, width = mask.shape
    columns, rows = (
        np.clip(points[:, k].round().astype(int), 0, size - 1) for k, size in ((0, width), (1, height))
    )
    found = pieces[rows, columns]
    found = found[found > 0]
    if not len(found):
        return np.zeros((height, width), np.float32)
    other = (pieces > 0) & (pieces != np.bincount(found).argmax())
    return np.ascontiguousarray(np.where(other, 0, mask), np.float32)


def _meeting(canvas: Placed, guest: Placed) -> Meeting:
    if canvas.is_fur == guest.is_fur:
        return "alike"
    return "person on animal" if canvas.is_fur else "animal on person"


def _described(parent: Parent, face: Face | None) -> dict[str, Any]:
    if face is None or parent.image is None:
        return {"parent": parent.name, "face": None}
    height, width = parent.image.shape[-2:]
    top, bottom, left, right = face.box
    names = ("left_eye", "right_eye", "nose", "mouth", "chin")
    points = {
        name: [round(float(v), 4) for v in (point + 0.5) / (width, height)]
        if np.isfinite(point).all()
        else None
        for name, point in zip(names, face.points, strict=True)
    }
    box = [round(v, 4) for v in (left / width, top / height, right / width, bottom / height)]
    return {
        "parent": parent.name,
        "face": {
            "box": box,
            **points,
            "confidence": round(face.confidence, 3),
            "person": round(face.person, 3),
        },
    }
