"""Train the head probe that ships in ``chimera_core/subjects/weights/head.safetensors``.

    python research/heads/train.py --data FOLDER --cache CACHE [--without FILE ...] [--out head.safetensors]

FOLDER holds the pictures that marks.txt names; nothing of it is kept but the probe. Features are cached in CACHE, and so
are the maps that probes give of the kinds that they never saw: rank.py learns and measures cuts on them.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from marked import FOLDS, Marked, names_in, read_marks
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import load_encoder
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.head import HeadProbe, head_features, head_maps

BATCH = 512
# Cells nearer than this to the neck's line or the snout, in sides of the head's box, belong to them.
NEAR_NECK, NEAR_SNOUT = 0.2, 0.25
# Of head, neck and snout.
LOSS_WEIGHTS = torch.tensor([1.0, 0.5, 0.5])


def samples(marked: Marked, encoder: FeatureEncoder, grounds: list[Tensor], rng: np.random.Generator):
    """Show a picture in several frames: whole, tight, closer, on other grounds; draw cells of each.

    Yields (features (n, 944), targets (n, 3) for head, neck and snout, weight (n,)).
    """
    x0, y0, x1, y1 = marked.box
    height, width = marked.mask.shape[-2:]
    side = max(x1 - x0, y1 - y0)
    frames = [(0, height, 0, width)]
    for share in (rng.uniform(0.35, 0.9), 0.15):
        room = share * side
        frame = (max(0, y0 - room), min(height, y1 + room), max(0, x0 - room), min(width, x1 + room))
        if min(frame[1] - frame[0], frame[3] - frame[2]) > 24:
            frames.append(tuple(int(v) for v in frame))
    for number, (top, bottom, left, right) in enumerate(frames):
        image, mask = (t[:, top:bottom, left:right] for t in (marked.image, marked.mask))
        if marked.is_cutout and (number or rng.random() < 0.5):
            ground = grounds[rng.integers(len(grounds))]
            ground = F.interpolate(ground[None], image.shape[-2:], mode="bilinear", antialias=True)[0]
            image = image * mask + ground * (1 - mask)
        box = np.array([x0 - left, y0 - top, x1 - left, y1 - top])
        points = marked.points - (left, top)
        if rng.random() < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
            box[[0, 2]] = image.shape[-1] - box[[2, 0]]
            points[:, 0] = image.shape[-1] - points[:, 0]
        features = head_features(encoder, image[None])[0]
        h, w = features.shape[-2:]
        box[0::2] *= w / image.shape[-1]
        box[1::2] *= h / image.shape[-2]
        points *= (w / image.shape[-1], h / image.shape[-2])
        covered = F.interpolate(mask[None], (h, w), mode="area")[0, 0]
        rows, columns = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        places = _near_neck_and_snout(torch.stack([columns, rows], -1), points, box)
        inside = (columns > box[0]) & (columns < box[2]) & (rows > box[1]) & (rows < box[3])
        for cells, target, wanted in (
            (inside & (covered > 0.5), 1.0, 60),
            (~inside & (covered > 0.5), 0.0, 90),
            (~inside & (covered < 0.1), 0.0, 60),
        ):
            index = cells.flatten().nonzero()[:, 0]
            if len(index):
                index = index[torch.from_numpy(rng.integers(len(index), size=min(wanted, 2 * len(index))))]
                yield (
                    features.flatten(1)[:, index].T,
                    torch.cat([torch.full((len(index), 1), target), places.flatten(0, 1)[index]], 1),
                    torch.full((len(index),), wanted / len(index)),
                )


def _near_neck_and_snout(cells: Tensor, points: np.ndarray, box: np.ndarray) -> Tensor:
    """Tell of cells (h, w, 2) whether they lie near the line from nape to throat, and near the snout: (h, w, 2)."""
    side = math.sqrt(max(1e-6, (box[2] - box[0]) * (box[3] - box[1])))
    nape, throat, snout = torch.from_numpy(points).float()
    along = throat - nape
    share = ((cells - nape) @ along / along.square().sum().clamp_min(1e-6)).clamp(0, 1)
    to_neck = (cells - nape - share[..., None] * along).norm(dim=-1)
    to_snout = (cells - snout).norm(dim=-1)
    return torch.stack([to_neck < NEAR_NECK * side, to_snout < NEAR_SNOUT * side], -1).float()


def fit(
    x: Tensor, y: Tensor, weight: Tensor, *, networks: int = 2, units: int = 128, epochs: int = 6
) -> HeadProbe:
    """Train networks of one hidden layer on features (n, 944), targets (n, 3) in {0, 1}; lay them side by side."""
    mean, spread = x.float().mean(0), x.float().std(0) + 1e-4
    parts = []
    for seed in range(networks):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Dropout(0.1),
            nn.Linear(x.shape[1], units),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(units, y.shape[1]),
        )
        optimizer = torch.optim.AdamW(net.parameters(), lr=1.5e-3, weight_decay=0.02)
        steps = epochs * (len(x) // BATCH + 1)
        rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(BATCH):
                odds = net((x[index].float() - mean) / spread)
                losses = F.binary_cross_entropy_with_logits(odds, y[index], reduction="none") @ LOSS_WEIGHTS
                loss = (weight[index] * losses).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rate.step()
        first, last = net[1], net[4]
        hidden = first.weight.detach() / spread
        parts.append(
            (
                hidden,
                first.bias.detach() - hidden @ mean,
                last.weight.detach() / networks,
                last.bias.detach() / networks,
            )
        )
    hidden, bias, out, out_bias = zip(*parts, strict=True)
    return HeadProbe(torch.cat(hidden), torch.cat(bias), torch.cat(out, 1), torch.stack(out_bias).sum(0))


def main() -> None:
    """Cache maps of unseen kinds, fold by fold; then train what ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--without", type=Path, nargs="*", default=[], help="lists of pictures not to look at"
    )
    parser.add_argument("--maps", default="maps.pt", help="file for the maps, in CACHE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder("timm:timm").requires_grad_(False)
    marks = read_marks(args.data, encoder, args.cache)
    rng = np.random.default_rng(0)
    kept = args.cache / f"features-{len(marks)}.pt"
    if kept.is_file():
        data = torch.load(kept)
    else:
        grounds = [m.image for m in marks if not m.is_cutout][::7]
        data = []
        for number, m in enumerate(marks):
            data += [(number, *[t.half() for t in part]) for part in samples(m, encoder, grounds, rng)]
        torch.save(data, kept)
    without = names_in(args.without)
    data = [part for part in data if marks[part[0]].name not in without]
    x = torch.cat([part[1] for part in data])
    y, weight = (torch.cat([part[k] for part in data]).float() for k in (2, 3))
    fold = torch.cat([torch.full((len(part[1]),), marks[part[0]].fold) for part in data])
    marks = [m for m in marks if m.name not in without]
    print(f"{len(marks)} pictures, {len(x)} cells", flush=True)
    if args.out:
        state = fit(x, y, weight)._asdict()
        save_file({name: value.half().contiguous() for name, value in state.items()}, args.out)
        print("wrote", args.out, flush=True)
    maps = {}
    for k in range(FOLDS):
        probe = fit(*(t[fold != k] for t in (x, y, weight)))
        for m in marks:
            if m.fold == k:
                maps[m.name] = head_maps(encoder, m.image, m.mask, probe=probe).half()
        print("fold", k, "done", flush=True)
    torch.save(maps, args.cache / args.maps)


if __name__ == "__main__":
    main()
