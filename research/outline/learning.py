"""One way to learn a decoder on the features of the frozen encoder: of whole animals, or of their heads."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pictures import Sample
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import FeatureEncoder
from chimera_core.precision import choose_precision
from chimera_core.subjects.outline_network import LEVELS, OutlineDecoder

BATCH = 16
_log = logging.getLogger("learning")
# Of a batch so many are new; the others come again from a pool, because the encoder's pass costs more than a step.
_NEW = 7
_POOL = 2400
_REPORT_STEPS = 50
# Where it is emulated, half precision is many times slower than none.
_IS_HALF = choose_precision("auto", torch.device("cpu")) == "bf16"


class Sampler(Protocol):
    """Draws pictures to learn from."""

    def sample(self, h: int, w: int) -> Sample:
        """Draw a picture of that size."""


def learn(
    encoder: FeatureEncoder,
    pictures: Sampler,
    validation: Sequence[Sequence[Tensor]],
    *,
    shapes: Mapping[tuple[int, int], float],
    minutes: float,
    seed: int,
    out: Path,
    rate: float,
    start: Path | None = None,
) -> None:
    """Train a decoder; its averaged weights are written again and again, so that it may be stopped at any time.

    Args:
        shapes: height and width of training pictures, and how often each comes.
    """
    kinds, shares = list(shapes), list(shapes.values())
    drawn = np.random.default_rng(seed)
    decoder = OutlineDecoder()
    if start is None:
        decoder.scale.copy_(_measure_scale(seen(encoder, pictures, max(shapes, key=shapes.__getitem__), 64)))
    else:
        decoder.load_state_dict(torch.load(start))
    decoder.to(memory_format=torch.channels_last)
    average = {name: value.clone() for name, value in decoder.state_dict().items()}
    matrices = [p for p in decoder.parameters() if p.ndim > 1]
    vectors = [p for p in decoder.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 3e-2}, {"params": vectors, "weight_decay": 0.0}], lr=rate
    )
    pools: list[list[list[Tensor]]] = [[] for _ in kinds]
    losses: list[float] = []
    begun, step = time.monotonic(), 0
    while (done := (time.monotonic() - begun) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * _schedule(step, done)
        kind = int(drawn.choice(len(kinds), p=shares))
        pool = pools[kind]
        count = _NEW if len(pool) > 3 * BATCH else BATCH
        fresh = seen(encoder, pictures, kinds[kind], count)
        again = [pool[i] for i in drawn.choice(len(pool), BATCH - count, replace=False)] if pool else []
        pool += fresh
        del pool[: max(0, len(pool) - int(_POOL * shares[kind]))]
        *maps, target, weight = batch(fresh + again)
        if drawn.random() < 0.5:  # not the features of the mirror image, but close
            maps = [level.flip(-1) for level in maps]
            target, weight = target.flip(-1), weight.flip(-1)
        with torch.autocast("cpu", torch.bfloat16, enabled=_IS_HALF):
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


def seen(
    encoder: FeatureEncoder, pictures: Sampler, shape: tuple[int, int], count: int
) -> list[list[Tensor]]:
    """Draw pictures and look at them: five feature maps, mask and weight (1, 2, h / 2, w / 2), in half precision."""
    samples = [pictures.sample(*shape) for _ in range(count)]
    images = torch.cat([as_tensor(sample.picture) for sample in samples])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=_IS_HALF):
        maps = encoder.feature_maps(images.contiguous(memory_format=torch.channels_last), LEVELS)
    targets = torch.from_numpy(np.stack([np.stack([s.mask, s.weight]) for s in samples]).astype(np.float32))
    targets = F.interpolate(targets, (shape[0] // 2, shape[1] // 2), mode="area")
    return [list(parts) for parts in zip(*(level.half().split(1) for level in [*maps, targets]), strict=True)]


def batch(samples: Sequence[Sequence[Tensor]]) -> list[Tensor]:
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


def as_tensor(picture: NDArray[np.uint8]) -> Tensor:
    """Bring a picture (h, w, 3) to float (1, 3, h, w) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
