"""Pictures to learn outlines from: photographs with a teacher's masks, and animals laid on any ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from teach import Picture, Taught

Floats = NDArray[np.float32]
Cutout = NDArray[np.uint8]
"""(h, w, 4), RGB and alpha."""


class Sample(NamedTuple):
    """A picture (h, w, 3) uint8, its mask and how much each pixel of it counts, both (h, w) in [0, 1]."""

    picture: Picture
    mask: Floats
    weight: Floats


class Pictures:
    """Draws samples: photographs and composites, two to three, and some without any animal."""

    def __init__(
        self,
        cutouts: Sequence[Cutout],
        photographs: Sequence[Taught],
        grounds: Sequence[Picture],
        objects: Sequence[Cutout],
        *,
        crowds: Sequence[Picture],
        seed: int,
    ) -> None:
        self.cutouts, self.photographs, self.objects = list(cutouts), list(photographs), list(objects)
        # Ground without an animal: frames that were chosen for it, and empty parts of photographs.
        self.grounds = list(grounds) + [part for taught in photographs for part in _empty_parts(taught)]
        # Ground with animals of its own, which are not the subject when another one stands before them.
        self.crowds = list(crowds)
        self.lifted = [lifted for taught in photographs if (lifted := _lift(taught)) is not None]
        self._drawn = np.random.default_rng(seed)

    def sample(self, h: int, w: int) -> Sample:
        """Draw one picture of a size."""
        chance = self._drawn.random()
        if chance < 0.36:
            picture, mask, weight = self._photograph(h, w)
        elif chance < 0.83:
            picture, mask, weight = self._composite(h, w)
        else:
            picture, mask, weight = self._nothing(h, w)
        if self._drawn.random() < 0.12:
            picture, mask = self._strips(picture, mask)
        return Sample(self._degraded(picture), mask, weight)

    def _photograph(self, h: int, w: int) -> tuple[Floats, Floats, Floats]:
        """Crop a taught photograph around its animal, from far (reflected borders) to close-up."""
        drawn = self._drawn
        for _ in range(6):
            picture, mask = self._one(self.photographs)
            rim = np.mean([edge.mean() / 255 for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])])
            if rim < 0.01 and drawn.random() < 0.3:
                pad = int(max(mask.shape) * drawn.uniform(0.1, 0.28))
                picture, mask = (
                    cv2.copyMakeBorder(part, pad, pad, pad, pad, cv2.BORDER_REFLECT101)
                    for part in (picture, mask)
                )
                zoom = 1.0
            else:
                zoom = drawn.uniform(0.25, 1.0)
            rows, columns = np.nonzero(mask > 127)
            centre = int(drawn.integers(len(rows)))
            window = self._window(mask.shape, h / w, zoom, (int(rows[centre]), int(columns[centre])))
            part = mask[window]
            if (part > 127).sum() > 0.2 * (mask > 127).sum() and (part > 127).mean() < 0.97:
                break
        colours = _resized(picture[window], h, w)
        opacity = _resized(mask[window], h, w) / 255
        if drawn.random() < 0.5:
            colours, opacity = colours[:, ::-1], opacity[:, ::-1]
        # Where the teacher wavers its word counts less, and is sharpened.
        weight = np.where((opacity > 0.25) & (opacity < 0.75), 0.35, 1).astype(np.float32)
        return self._jittered(colours, 0.8), np.clip(opacity * 2 - 0.5, 0, 1), weight

    def _composite(self, h: int, w: int) -> tuple[Floats, Floats, Floats]:
        """Lay an animal, and things, over a ground; whatever animals stand behind it are none of the subject.

        A fuser wants one animal: the foremost, which is laid last, and is the largest of those that are laid.
        """
        drawn = self._drawn
        crowded = drawn.random() < 0.6
        scene = self._crop(self._one(self.crowds), h, w) if crowded else self._ground(h, w)
        if self.objects and drawn.random() < 0.2:
            scene, _ = self._lay(self._one(self.objects), scene, largest=0.7)
        behind = int(drawn.choice([0, 1, 2, 3], p=[0.72, 0.16, 0.08, 0.04]))
        for _ in range(behind):
            scene, _ = self._lay(self._animal(), scene, largest=0.6)
        if behind and drawn.random() < 0.4:  # out of focus
            scene = cv2.GaussianBlur(scene, (0, 0), drawn.uniform(0.8, 4))
        accompanied = crowded or behind > 0
        largest = 1.9 if drawn.random() < 0.12 else 1.1
        scene, mask = self._lay(self._animal(), scene, least=0.4 if accompanied else 0.2, largest=largest)
        # A speck before a crowd is not the foremost animal: better not to learn from it.
        counts = not accompanied or mask.mean() > 0.02
        if self.objects and drawn.random() < 0.15:
            scene, opacity = self._lay(self._one(self.objects), scene, largest=0.45)
            mask = mask * (1 - opacity)
        return scene, mask, np.full((h, w), float(counts), np.float32)

    def _animal(self) -> Cutout:
        lifted = self.lifted and self._drawn.random() < 0.5
        cutout: Cutout = self._one(self.lifted if lifted else self.cutouts)
        return cutout

    def _nothing(self, h: int, w: int) -> tuple[Floats, Floats, Floats]:
        scene = self._ground(h, w)
        if self.objects and self._drawn.random() < 0.8:
            for _ in range(int(self._drawn.integers(1, 4))):
                scene, _ = self._lay(self._one(self.objects), scene, largest=1.3)
        return scene, np.zeros((h, w), np.float32), np.ones((h, w), np.float32)

    def _lay(
        self, cutout: Cutout, scene: Floats, *, least: float = 0.2, largest: float
    ) -> tuple[Floats, Floats]:
        """Lay a cut-out over a scene, turned, stretched, lit and shadowed; gives the scene and its alpha."""
        drawn, (h, w) = self._drawn, scene.shape[:2]
        colours = self._jittered(cutout[..., :3].astype(np.float32), 1.0)
        alpha = cutout[..., 3].astype(np.float32) / 255
        if drawn.random() < 0.5:
            colours, alpha = colours[:, ::-1], alpha[:, ::-1]
        high, wide = alpha.shape
        scale = float(np.exp(drawn.uniform(np.log(least), np.log(largest)))) * min(h / high, w / wide)
        beyond = 0.35 if drawn.random() < 0.2 or scale * high > h or scale * wide > w else 0.05
        y = (h - high * scale) * drawn.random() + high * scale * (0.5 + drawn.uniform(-beyond, beyond))
        x = (w - wide * scale) * drawn.random() + wide * scale * (0.5 + drawn.uniform(-beyond, beyond))
        turn = cv2.getRotationMatrix2D((wide / 2, high / 2), drawn.normal(0, 8), scale)
        turn[0] *= np.exp(drawn.uniform(-0.15, 0.15))
        turn[:, 2] += np.array([x, y]) - turn @ [wide / 2, high / 2, 1]
        # Premultiplied, so that what hides under alpha 0 stays hidden; blurred before shrinking.
        layer = np.dstack([colours * alpha[..., None], alpha])
        if scale < 0.7:
            layer = cv2.GaussianBlur(layer, (0, 0), 0.35 / scale)
        layer = cv2.warpAffine(np.ascontiguousarray(layer), turn, (w, h), flags=cv2.INTER_LINEAR)
        paint, opacity = layer[..., :3], layer[..., 3].clip(0, 1)
        if opacity.sum() < 0.004 * h * w:
            return scene, np.zeros((h, w), np.float32)
        if drawn.random() < 0.35:
            share = drawn.uniform(0.2, 0.8)
            own = paint.sum((0, 1)) / opacity.sum()
            lit = own * (1 - share) + scene.mean((0, 1)) * share
            paint = np.minimum(paint * (lit + 5) / (own + 5), 255 * opacity[..., None])
        if drawn.random() < 0.35:
            scene = self._shadowed(scene, opacity)
        if drawn.random() < 0.35:
            sigma = drawn.uniform(0.4, 1.0)
            paint, opacity = cv2.GaussianBlur(paint, (0, 0), sigma), cv2.GaussianBlur(opacity, (0, 0), sigma)
        return (scene * (1 - opacity[..., None]) + paint).astype(np.float32), opacity

    def _shadowed(self, scene: Floats, opacity: Floats) -> Floats:
        drawn, (h, w) = self._drawn, opacity.shape
        foot = int(np.nonzero(opacity.max(1) > 0.3)[0].max(initial=h - 1))
        lean, squash = drawn.uniform(-0.4, 0.4), drawn.uniform(0.3, 1)
        fall = np.array([[1, lean, drawn.uniform(-12, 12) - lean * foot], [0, squash, foot * (1 - squash)]])
        shadow = cv2.GaussianBlur(cv2.warpAffine(opacity, fall, (w, h)), (0, 0), drawn.uniform(1.5, 8))
        return np.asarray(scene * (1 - drawn.uniform(0.2, 0.6) * shadow[..., None]), np.float32)

    def _strips(self, picture: Floats, mask: Floats) -> tuple[Floats, Floats]:
        """Put bars, twigs or a hedge of other ground before everything."""
        drawn, (h, w) = self._drawn, mask.shape
        cover = np.zeros((h, w), np.float32)
        if drawn.random() < 0.25:
            cover[int(h * drawn.uniform(0.65, 0.9)) :] = 1
        else:
            for _ in range(int(drawn.integers(1, 7))):
                ends = drawn.uniform(-0.2, 1.2, (2, 2)) * [w, h]
                if drawn.random() < 0.5:
                    ends[1, 0] = ends[0, 0] + drawn.normal(0, 0.05) * w
                cv2.line(
                    cover, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 1.0, int(drawn.integers(2, 14))
                )
        cover = cv2.GaussianBlur(cover, (0, 0), drawn.uniform(0.5, 2.5))
        front = self._ground(h, w)
        return picture * (1 - cover[..., None]) + front * cover[..., None], mask * (1 - cover)

    def _ground(self, h: int, w: int) -> Floats:
        drawn = self._drawn
        if drawn.random() < 0.85:
            return self._crop(self._one(self.grounds), h, w)
        scene = np.zeros((h, w, 3), np.float32) + drawn.uniform(30, 220, 3).astype(np.float32)
        for cells in (2, 4, 8, 16, 32, 64):
            noise = drawn.normal(0, 1, (cells, cells, 3)).astype(np.float32)
            if drawn.random() < 0.6:
                noise[:] = noise[..., :1]
            scene += cv2.resize(noise, (w, h), interpolation=cv2.INTER_CUBIC) * drawn.uniform(0, 30)
        return self._jittered(scene, 0.7)

    def _crop(self, picture: Picture, h: int, w: int) -> Floats:
        """Cut a window out of a picture, mirror and blur it at times."""
        drawn = self._drawn
        shape = (picture.shape[0], picture.shape[1])
        centre = (int(drawn.integers(shape[0])), int(drawn.integers(shape[1])))
        scene = _resized(picture[self._window(shape, h / w, drawn.uniform(0.4, 1), centre)], h, w)
        if drawn.random() < 0.3:
            scene = cv2.GaussianBlur(scene, (0, 0), drawn.uniform(0.8, 6))
        return self._jittered(scene[:, ::-1] if drawn.random() < 0.5 else scene, 0.7)

    def _window(
        self, shape: tuple[int, ...], ratio: float, zoom: float, centre: tuple[int, int]
    ) -> tuple[slice, slice]:
        """Box a share of a picture, of nearly a ratio (height to width), with a pixel somewhere in it."""
        drawn = self._drawn
        ratio *= np.exp(drawn.uniform(-0.25, 0.25))
        high = min(shape[0], shape[1] * ratio) * zoom
        wide = min(shape[1], high / ratio)
        top = int(np.clip(centre[0] - drawn.uniform(0.1, 0.9) * high, 0, shape[0] - high))
        left = int(np.clip(centre[1] - drawn.uniform(0.1, 0.9) * wide, 0, shape[1] - wide))
        return slice(top, top + int(high) + 1), slice(left, left + int(wide) + 1)

    def _jittered(self, picture: Floats, strength: float) -> Floats:
        """Change brightness, contrast, saturation and tint; one in sixteen goes grey."""
        drawn = self._drawn

        def around_one(most: float) -> float:
            return drawn.uniform(1 - most * strength, 1 + most * strength)

        picture = picture * around_one(0.3) + drawn.uniform(-25, 25) * strength
        mean = picture.mean((0, 1))
        picture = (picture - mean) * around_one(0.3) + mean
        grey = picture.mean(2, keepdims=True)
        saturation = around_one(0.45) if drawn.random() > 0.06 else 0.0
        tint = 1 + drawn.uniform(-0.1, 0.1, 3) * strength
        return np.clip((grey + (picture - grey) * saturation) * tint, 0, 255).astype(np.float32)

    def _degraded(self, picture: Floats) -> Picture:
        """Blur, add noise, and pack as JPEG, each at times."""
        drawn, (h, w) = self._drawn, picture.shape[:2]
        if drawn.random() < 0.1:  # a small picture, enlarged
            fewer = 1 / drawn.uniform(1.3, 3)
            few = cv2.resize(
                np.ascontiguousarray(picture), None, fx=fewer, fy=fewer, interpolation=cv2.INTER_AREA
            )
            picture = cv2.resize(few, (w, h), interpolation=cv2.INTER_LINEAR)
        elif drawn.random() < 0.2:
            picture = cv2.GaussianBlur(np.ascontiguousarray(picture), (0, 0), drawn.uniform(0.4, 1.5))
        if drawn.random() < 0.35:
            noise = drawn.standard_normal(picture.shape, dtype=np.float32)
            picture = picture + noise * drawn.uniform(1, 9)
        packed = np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))
        if drawn.random() < 0.5:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(drawn.uniform(35, 95))]
            packed = cv2.imdecode(cv2.imencode(".jpg", packed, quality)[1], cv2.IMREAD_COLOR)
        return packed

    def _one(self, these: Sequence[Any]) -> Any:
        return these[int(self._drawn.integers(len(these)))]


def _resized(picture: NDArray[np.uint8], h: int, w: int) -> Floats:
    way = cv2.INTER_AREA if picture.shape[0] > h else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (w, h), interpolation=way), np.float32)


def _empty_parts(taught: Taught) -> list[Picture]:
    """Cut out thirds and quarters of a photograph that hold nothing of its animal."""
    h, w = taught.mask.shape
    empty = cv2.erode((taught.mask < 40).astype(np.uint8), np.ones((9, 9)))
    boxes = (
        (0, h, 0, w // 3),
        (0, h, 2 * w // 3, w),
        (0, h // 3, 0, w),
        (2 * h // 3, h, 0, w),
        (0, h // 2, 0, w // 2),
        (0, h // 2, w // 2, w),
        (h // 2, h, 0, w // 2),
        (h // 2, h, w // 2, w),
    )
    return [
        taught.picture[top:bottom, left:right]
        for top, bottom, left, right in boxes
        if empty[top:bottom, left:right].mean() > 0.995
    ]


def _lift(taught: Taught) -> Cutout | None:
    """Cut a photograph's animal out to lay it elsewhere, if its outline is sure and mostly within the frame."""
    picture, mask = taught
    unsure = ((mask > 50) & (mask < 205)).mean() / max(float((mask > 127).mean()), 1e-6)
    cut = sum(bool((edge > 127).mean() > 0.05) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    rows, columns = np.nonzero(mask > 60)
    if unsure > 0.15 or cut > 1 or min(np.ptp(rows), np.ptp(columns)) < 70:
        return None
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    alpha = ((mask[box] / 255 - 0.55) * 3 + 0.3).clip(0, 1)
    return np.dstack([picture[box], (alpha * 255).astype(np.uint8)])
