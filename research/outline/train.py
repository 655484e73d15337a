"""Train the decoder of outlines that ships with chimera: ``python research/outline/train.py --help``.

Its encoder, EfficientNet-Lite0, stays as it is; only the decoder on its feature maps learns, on one core.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from held_out import split_cutouts, test_composites
from pictures import Cutout, Pictures
from teach import Picture, believed, label, photographs, read_rgb
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import FeatureEncoder, load_encoder
from chimera_core.subjects.outline_network import OutlineDecoder

Item = TypeVar("Item")

_log = logging.getLogger("outline")
_LEVELS = (0, 1, 2, 3, 4)
# Height and width of training pictures, and how often each comes.
_SHAPES, _SHARES = ((192, 256), (256, 192), (224, 224), (288, 352)), (0.36, 0.2, 0.3, 0.14)
_BATCH = 16
# Of a batch so many are new; the others come again from a pool, because the encoder's pass costs more than a step.
_NEW = 7
_POOL = 2400
_REPORT_STEPS = 50
_VALIDATION_BATCHES = 10
# Every so many cut-outs and photographs of those to learn from choose among seeds, and are learnt from never.
_VALIDATION_EVERY = 10
# Shells without a beast, and other stamps that Tux Paint keeps among animals and people.
_NO_ANIMALS = ("abalone", "eye", "murray-mussel", "snowman")
_CROWDS_EVERY, _TRAPS_AGAIN = 3, 3


def main() -> None:
    """Label photographs, learn for so many minutes, save averaged weights."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    encoder = load_encoder("timm:timm").requires_grad_(False).to(memory_format=torch.channels_last)
    files = photographs(arguments.data)
    label(
        files,
        data=arguments.data,
        teacher=arguments.teacher,
        cache=arguments.masks,
        minutes=arguments.teach_minutes,
    )
    taught = list(believed(files, data=arguments.data, cache=arguments.masks))
    cutouts = [read_cutout(file) for file in split_cutouts(arguments.data)[0]]
    # Stamps of Tux Paint that are none of the cut-outs, be they learnt from or tested on.
    known = {file.stem for file in (arguments.data / "cutouts").iterdir()}
    cutouts += [
        read_cutout(file)
        for folder in arguments.animals
        for file in sorted(folder.rglob("*.png"))
        if file.stem.replace("_", "-") not in known and file.stem not in _NO_ANIMALS
    ]
    grounds, crowds = grounds_of(encoder, arguments.data)
    # Photographs of animals serve as well, be their outlines known or not.
    photographed = [read_rgb(file) for file in files[::_CROWDS_EVERY]]
    objects = [read_cutout(file) for folder in arguments.objects for file in sorted(folder.rglob("*.png"))]
    learning = Pictures(
        _without_every(cutouts),
        _without_every(taught),
        _without_every(grounds, 4),
        _without_every(objects, 4),
        crowds=[*_without_every(crowds, 4) * _TRAPS_AGAIN, *_without_every(photographed)],
        seed=arguments.seed,
    )
    # The seed is always the same, for seeds are compared on it.
    checking = Pictures(
        cutouts[::_VALIDATION_EVERY],
        taught[::_VALIDATION_EVERY],
        grounds[::4],
        objects[::4],
        crowds=[*crowds[::4] * _TRAPS_AGAIN, *photographed[::_VALIDATION_EVERY]],
        seed=12345,
    )
    _log.info(
        "%d photographs (%d of whose animals can be laid elsewhere), %d cut-outs, %d grounds, %d things",
        *(len(part) for part in (learning.photographs, learning.lifted, learning.cutouts)),
        len(learning.grounds),
        len(learning.objects),
    )
    validation = [_batch(_seen(encoder, checking, shape, _BATCH)) for shape in _SHAPES[:2]]
    for _ in range(_VALIDATION_BATCHES - len(validation)):
        validation.append(_batch(_seen(encoder, checking, _SHAPES[2], _BATCH)))
    learn(
        encoder,
        learning,
        validation,
        minutes=arguments.minutes,
        seed=arguments.seed,
        out=arguments.out,
        rate=arguments.rate,
        start=arguments.start,
    )


def learn(
    encoder: FeatureEncoder,
    pictures: Pictures,
    validation: Sequence[Sequence[Tensor]],
    *,
    minutes: float,
    seed: int,
    out: Path,
    rate: float,
    start: Path | None = None,
) -> None:
    """Train a decoder; its averaged weights are written again and again, so that it may be stopped at any time."""
    drawn = np.random.default_rng(seed)
    decoder = OutlineDecoder()
    if start is None:
        decoder.scale.copy_(_measure_scale(_seen(encoder, pictures, _SHAPES[2], 64)))
    else:
        decoder.load_state_dict(torch.load(start))
    decoder.to(memory_format=torch.channels_last)
    average = {name: value.clone() for name, value in decoder.state_dict().items()}
    matrices = [p for p in decoder.parameters() if p.ndim > 1]
    vectors = [p for p in decoder.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 3e-2}, {"params": vectors, "weight_decay": 0.0}], lr=rate
    )
    pools: list[list[list[Tensor]]] = [[] for _ in _SHAPES]
    losses: list[float] = []
    begun, step = time.monotonic(), 0
    while (done := (time.monotonic() - begun) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * _schedule(step, done)
        kind = int(drawn.choice(len(_SHAPES), p=_SHARES))
        pool = pools[kind]
        count = _NEW if len(pool) > 3 * _BATCH else _BATCH
        fresh = _seen(encoder, pictures, _SHAPES[kind], count)
        again = [pool[i] for i in drawn.choice(len(pool), _BATCH - count, replace=False)] if pool else []
        pool += fresh
        del pool[: max(0, len(pool) - int(_POOL * _SHARES[kind]))]
        *maps, target, weight = _batch(fresh + again)
        if drawn.random() < 0.5:  # not the features of the mirror image, but close
            maps = [level.flip(-1) for level in maps]
            target, weight = target.flip(-1), weight.flip(-1)
        with torch.autocast("cpu", torch.bfloat16):
            answers = [answer.float() for answer in decoder.all_answers(maps)]
        loss = outline_loss(answers[0], target, weight)
        for coarse in answers[1:]:
            shape = coarse.shape[-2:]
            loss = loss + 0.3 * outline_loss(
                coarse,
                F.interpolate(target, shape, mode="area"),
                F.interpolate(weight, shape, mode="area"),
                edges=False,
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 2.0)
        optimizer.step()
        step += 1
        _blend(average, decoder.state_dict(), keep=min(0.995, step / (10 + step)))
        losses.append(loss.item())
        if step % _REPORT_STEPS == 0:
            _log.info(
                "step %d, %.0f s, loss %.3f", step, time.monotonic() - begun, np.mean(losses[-_REPORT_STEPS:])
            )
            torch.save(average, out)
        if step % (10 * _REPORT_STEPS) == 0:
            _log.info("  validation IoU %.4f", _validate(average, validation))
    torch.save(average, out)
    _log.info("%d steps; validation IoU %.4f", step, _validate(average, validation))


def outline_loss(logits: Tensor, target: Tensor, weight: Tensor, *, edges: bool = True) -> Tensor:
    """Cross-entropy, in which edges count fourfold, and one minus the soft intersection over union.

    Args:
        logits: (N, 1, h, w).
        target: same shape, in [0, 1].
        weight: same shape, how much each cell counts.
        edges: whether edges count more.
    """
    emphasis = weight
    if edges:
        spread = F.max_pool2d(target, 5, 1, 2) + F.max_pool2d(-target, 5, 1, 2)
        emphasis = weight * (1 + 3 * spread.clamp(0, 1))
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * emphasis).sum((1, 2, 3)) / emphasis.sum((1, 2, 3)).clamp_min(1)
    found = logits.sigmoid()
    both = (found * target * weight).sum((1, 2, 3))
    either = ((found + target - found * target) * weight).sum((1, 2, 3))
    return (entropy + 0.6 * (1 - (both + 1) / (either + 1))).mean()


def read_cutout(file: Path, longest: int = 448) -> Cutout:
    """Read a picture with alpha as (h, w, 4), RGB and alpha."""
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture.dtype != np.uint8:
        picture = (picture // 257).astype(np.uint8)
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    if picture.shape[2] == 3:
        picture = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    picture = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)
    scale = longest / max(picture.shape[:2])
    return (
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    )


def grounds_of(encoder: FeatureEncoder, data: Path) -> tuple[list[Picture], list[Picture]]:
    """Give camera traps' frames without and with an animal, as the classifier sees it; those of the test left out."""
    tested = {ground for ground, _ in test_composites(data)}
    empty, crowded = [], []
    for file in sorted((data / "cameratrap" / "images").iterdir()):
        if file not in tested:
            picture = read_rgb(file)
            small = cv2.resize(picture, (160, 160), interpolation=cv2.INTER_AREA)
            with torch.no_grad():
                chances = encoder(_as_tensor(small)).softmax(-1)
            # ImageNet lists its animals first.
            (empty if float(chances[:, :398].sum()) < 0.35 else crowded).append(picture)
    return empty, crowded


def _seen(
    encoder: FeatureEncoder, pictures: Pictures, shape: tuple[int, int], count: int
) -> list[list[Tensor]]:
    """Draw pictures and look at them: five feature maps, mask and weight (1, 2, h / 2, w / 2), in half precision."""
    samples = [pictures.sample(*shape) for _ in range(count)]
    images = torch.cat([_as_tensor(sample.picture) for sample in samples])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = encoder.feature_maps(images.contiguous(memory_format=torch.channels_last), _LEVELS)
    targets = torch.from_numpy(np.stack([np.stack([s.mask, s.weight]) for s in samples]).astype(np.float32))
    targets = F.interpolate(targets, (shape[0] // 2, shape[1] // 2), mode="area")
    return [list(parts) for parts in zip(*(level.half().split(1) for level in [*maps, targets]), strict=True)]


def _batch(samples: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Stack samples: five feature maps, masks and weights, each (N, 1, h / 2, w / 2)."""
    *maps, targets = (torch.cat(parts).float() for parts in zip(*samples, strict=True))
    return [*maps, targets[:, :1], targets[:, 1:]]


def _measure_scale(samples: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean and standard deviation of every channel: (2, channels of all levels)."""
    *maps, _ = zip(*samples, strict=True)
    levels = [torch.cat([part.float().flatten(2)[0] for part in level], 1) for level in maps]
    return torch.stack([torch.cat([v.mean(1) for v in levels]), torch.cat([v.std(1) + 1e-3 for v in levels])])


def _schedule(step: int, done: float) -> float:
    """Share of the learning rate: a short rise, a plateau, half a cosine."""
    return min(1.0, step / 60) if done < 0.4 else 0.5 * (1 + math.cos(math.pi * (done - 0.4) / 0.6)) + 0.003


def _blend(average: dict[str, Tensor], now: dict[str, Tensor], *, keep: float) -> None:
    for name, value in now.items():
        if value.dtype.is_floating_point:
            average[name].mul_(keep).add_(value, alpha=1 - keep)
        else:
            average[name].copy_(value)


def _validate(state: dict[str, Tensor], batches: Sequence[Sequence[Tensor]]) -> float:
    """Mean IoU; a picture without an animal counts one where nothing is found."""
    decoder = OutlineDecoder()
    decoder.load_state_dict(state)
    decoder.eval()
    overlaps = []
    with torch.no_grad():
        for *maps, target, weight in batches:
            found, true, counts = decoder(maps) > 0, target > 0.5, weight > 0.5
            both = (found & true & counts).sum((1, 2, 3))
            either = ((found | true) & counts).sum((1, 2, 3))
            # Crumbs of under ten cells are nothing.
            overlaps += torch.where(either < 10, 1.0, both / either.clamp_min(1)).tolist()
    return float(np.mean(overlaps))


def _without_every(these: Sequence[Item], every: int = _VALIDATION_EVERY) -> list[Item]:
    return [this for index, this in enumerate(these) if index % every]


def _as_tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with photos/, cutouts/, cameratrap/ ..."
    )
    parser.add_argument("--teacher", type=Path, required=True, help="u2netp.onnx")
    parser.add_argument(
        "--masks", type=Path, default=Path("masks"), help="where the teacher's masks are kept"
    )
    parser.add_argument(
        "--objects", type=Path, nargs="*", default=[], help="folders of things with alpha (PNG)"
    )
    parser.add_argument(
        "--animals", type=Path, nargs="*", default=[], help="folders of more animals with alpha (PNG)"
    )
    parser.add_argument("--teach-minutes", type=float, default=12, help="how long the teacher may take")
    parser.add_argument("--minutes", type=float, default=25, help="how long to learn")
    parser.add_argument("--out", type=Path, required=True, help="state dict to write (.pt)")
    parser.add_argument("--start", type=Path, help="state dict to go on from")
    parser.add_argument("--rate", type=float, default=2.5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
