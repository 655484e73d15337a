"""Train the decoder of heads that ships in ``chimera_core/subjects/weights/head_mask.safetensors``.

    python research/heads/masks.py --data FOLDER --cache CACHE --out heads.pt [--without FILE ...] [--fold K]
    python research/outline/export.py heads.pt head_mask.safetensors

It begins as the decoder of outlines, which knows edges, and learns on random views of the heads in polygons.txt. With
--fold the kinds of that fold are left out and measured on.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from marked import Marked, names_in, read_marks
from numpy.typing import NDArray

from chimera_core.api import FeatureEncoder, head_maps, load_encoder
from chimera_core.subjects import head_mask
from chimera_core.subjects.outline_network import OutlineDecoder, outline_decoder

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "outline"))

from learning import BATCH, batch, learn, seen  # noqa: E402
from pictures import Sample  # noqa: E402

Floats = NDArray[np.float32]
# A view shows so many times the head's box, turned and shifted.
_ROOMS, _TURN_DEGREES, _SHIFT = (1.3, 2.7), 13, 0.32
# Where a polygon and a found outline disagree, one of them is wrong.
_DOUBTFUL = 0.2
_VALIDATION_BATCHES = 5


@dataclass
class Headed:
    """A marked picture, uint8 (H, W, 3), with alpha (H, W), polygon (H, W) and the head's box x0, y0, x1, y1."""

    marked: Marked
    image: NDArray[np.uint8]
    alpha: Floats
    polygon: Floats
    box: tuple[int, int, int, int]


def read_heads(data: Path, encoder: FeatureEncoder, cache: Path) -> list[Headed]:
    """Read polygons.txt and its pictures."""
    lines = [line.split() for line in (HERE / "polygons.txt").read_text().splitlines() if line[:1] != "#"]
    polygons = {name: np.array([point.split(",") for point in points], float) for name, *points in lines}
    heads = []
    for marked in read_marks(data, encoder, cache):
        if marked.name not in polygons:
            continue
        left, top, width, height = marked.frame
        alpha = marked.mask[0].numpy()
        polygon = _drawn(polygons[marked.name] / 100 * (width, height) + (left, top), alpha.shape)
        rows, columns = np.nonzero(polygon * alpha > 0.5)
        if len(rows):
            box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
            image = (marked.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            heads.append(Headed(marked, image, alpha, polygon, box))
    return heads


def _drawn(points: NDArray[np.float64], shape: tuple[int, ...], finer: int = 4) -> Floats:
    """Draw a polygon of points x, y, anti-aliased."""
    mask = np.zeros((shape[0] * finer, shape[1] * finer), np.uint8)
    cv2.fillPoly(mask, [np.round((points + 0.5) * finer - 0.5).astype(np.int32)], 1)
    return np.asarray(cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA))


class HeadViews:
    """Draws views of heads: closer and further, turned, mirrored, dark, coarse; cut-outs on other grounds."""

    def __init__(self, heads: Sequence[Headed], grounds: Sequence[NDArray[np.uint8]], *, seed: int) -> None:
        self._heads, self._grounds, self._drawn = heads, grounds, np.random.default_rng(seed)

    def sample(self, h: int, w: int) -> Sample:
        """Draw a view of that size; its mask is the head, outside the picture nothing counts."""
        drawn = self._drawn
        head = self._heads[drawn.integers(len(self._heads))]
        frame = self._frame(head, h, w)
        image = head.image
        if head.marked.is_cutout and drawn.random() < 0.75:
            ground = self._grounds[drawn.integers(len(self._grounds))]
            ground = cv2.resize(ground, image.shape[1::-1], interpolation=cv2.INTER_AREA)
            image = (image * head.alpha[..., None] + ground * (1 - head.alpha[..., None])).astype(np.uint8)
        view = cv2.warpAffine(image, frame, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        alpha, polygon, inside = (
            cv2.warpAffine(part, frame, (w, h))
            for part in (head.alpha, head.polygon, np.ones_like(head.alpha))
        )
        weight = inside * np.where((polygon > 0.5) & (alpha < 0.5), _DOUBTFUL, 1)
        return Sample(self._spoiled(view), polygon * alpha, weight.astype(np.float32))

    def _frame(self, head: Headed, h: int, w: int) -> NDArray[np.float64]:
        """Draw the affine map (2, 3) from a picture to a view of it."""
        drawn = self._drawn
        left, top, right, bottom = head.box
        longer = max(right - left, bottom - top)
        side = longer * float(np.exp(drawn.uniform(*np.log(_ROOMS))))
        middle = np.array([left + right, top + bottom]) / 2 + drawn.uniform(-_SHIFT, _SHIFT, 2) * (
            side - longer
        )
        turn = np.deg2rad(drawn.normal(0, _TURN_DEGREES))
        stretch = np.array([w, h]) / side * np.exp(drawn.normal(0, 0.08, 2)) * (drawn.choice([-1, 1]), 1)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * stretch
        return np.hstack([matrix, (np.array([w, h]) / 2 - matrix @ middle)[:, None]])

    def _spoiled(self, view: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Make a view coarser, darker, paler, noisier, and save it badly; each now and then."""
        drawn, (h, w) = self._drawn, view.shape[:2]
        values = view.astype(np.float32) / 255
        if drawn.random() < 0.3:
            coarse = drawn.uniform(1.3, 3.2)
            small = cv2.resize(values, (int(w / coarse), int(h / coarse)), interpolation=cv2.INTER_AREA)
            values = cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
        values = np.clip(values, 0, 1) ** np.exp(drawn.normal(0, 0.25))
        mean = values.mean((0, 1))
        values = (values - mean) * np.exp(drawn.normal(0, 0.15)) + mean + drawn.normal(0, 0.03, 3)
        grey = values.mean(2, keepdims=True)
        values = grey + (values - grey) * drawn.uniform(0.3, 1.3)
        values = values + drawn.normal(0, drawn.uniform(0, 0.02), values.shape)
        spoiled = (np.clip(values, 0, 1) * 255).astype(np.uint8)
        if drawn.random() < 0.4:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(drawn.uniform(30, 90))]
            spoiled = cv2.imdecode(cv2.imencode(".jpg", spoiled, quality)[1], cv2.IMREAD_COLOR)
        return np.asarray(spoiled, np.uint8)


def measure(encoder: FeatureEncoder, heads: Sequence[Headed], decoder: OutlineDecoder) -> float:
    """Give the mean overlap (IoU) of what ``head_mask`` finds by a decoder with the marked heads, whole pictures in."""
    head_mask.head_decoder = lambda device: decoder
    overlaps = []
    for head in heads:
        marked = head.marked
        scores = head_maps(encoder, marked.image, marked.mask)[:1]
        found = head_mask.head_mask(encoder, marked.image, scores, marked.mask)[0].numpy()
        found, true = (part * head.alpha > 0.5 for part in (found, head.polygon))
        overlaps.append((found & true).sum() / max(1, (found | true).sum()))
        print(f"{marked.name} {overlaps[-1]:.3f}")
    return float(np.mean(overlaps))


def main() -> None:
    """Learn for so many minutes, then measure what was left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="state dict to write (.pt)")
    parser.add_argument("--start", type=Path, help="state dict to go on from; the decoder of outlines")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--fold", type=int, help="leave its kinds out, and measure on them")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="lists of pictures to leave out")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    encoder = load_encoder("timm:timm").requires_grad_(False).to(memory_format=torch.channels_last)
    without = names_in(args.without)
    heads = [h for h in read_heads(args.data, encoder, args.cache) if h.marked.name not in without]
    held = [h for h in heads if h.marked.fold == args.fold]
    learned = [h for h in heads if h.marked.fold != args.fold]
    grounds = [h.image for h in heads if not h.marked.is_cutout][::3]
    print(f"{len(learned)} pictures to learn from, {len(held)} left out", flush=True)
    shape = (head_mask.VIEW, head_mask.VIEW)
    checking = HeadViews(held or heads, grounds, seed=12345)
    validation = [batch(seen(encoder, checking, shape, BATCH)) for _ in range(_VALIDATION_BATCHES)]
    start = args.start
    if start is None:
        start = args.cache / "outline.pt"
        torch.save(outline_decoder(torch.device("cpu")).state_dict(), start)
    learn(
        encoder,
        HeadViews(learned, grounds, seed=args.seed),
        validation,
        shapes={shape: 1.0},
        minutes=args.minutes,
        seed=args.seed,
        out=args.out,
        rate=args.rate,
        start=start,
    )
    if held:
        decoder = OutlineDecoder()
        decoder.load_state_dict(torch.load(args.out))
        print(f"overlap {measure(encoder, held, decoder.eval()):.3f}")


if __name__ == "__main__":
    main()
