"""Train the head that ships in ``chimera_core/subjects/weights/face.safetensors``.

    python research/faces/train.py --data FOLDER --bank FOLDER --out face.safetensors [--without KIND ...]

FOLDER holds the pictures that marks.txt names, and the aligned sets of cats and persons. What the frozen encoder sees of
random views of them is written to the bank first, once for all heads (138 kB a view; an interrupted run goes on where it
stopped); then the head learns from it. Given the same bank, a run can be repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from views import Face, Views, aligned_faces, marked_faces

from chimera_core.api import load_encoder
from chimera_core.subjects.face_network import (
    GRID,
    LEVELS,
    MIRRORED,
    FaceAnswer,
    FaceNetwork,
    view_features,
)

SHAPES = ((40, 28, 28), (112, 14, 14), (320, 7, 7))
SIZES = [math.prod(shape) for shape in SHAPES]
# Views drawn with one seed.
CHUNK = 500
BATCH = 32
RATE = 2.5e-3
POINT_WEIGHTS = torch.tensor([1.5, 1.5, 1.3, 1.0, 0.7])
# Of a point's target, in cells.
SPREAD = 0.9


class Bank:
    """Features and labels of views, in files."""

    def __init__(self, folder: Path, views: int) -> None:
        self.folder, self.views = folder, views
        folder.mkdir(parents=True, exist_ok=True)
        self.labels = folder / "labels.jsonl"
        kind = "r+" if (folder / "features").exists() else "w+"
        self.features = np.memmap(folder / "features", np.int16, kind, shape=(views, sum(SIZES)))

    def fill(self, data: Path, faces: list[Face], seed: int) -> None:
        """Draw the views that are still missing."""
        done = len(self.labels.read_text().splitlines()) if self.labels.exists() else 0
        encoder = load_encoder("timm:timm").requires_grad_(False)
        views, start = Views(data, faces, np.random.default_rng(seed)), time.monotonic()
        for first in range(done - done % CHUNK, self.views, CHUNK):
            views.rng = np.random.default_rng((seed, first))
            lines = []
            for at in range(first, first + CHUNK, 20):
                drawn = [views.draw() for _ in range(20)]
                x = torch.from_numpy(np.stack([d.picture for d in drawn])).permute(0, 3, 1, 2).float() / 255
                with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                    maps = encoder.feature_maps(x.contiguous(memory_format=torch.channels_last), LEVELS)
                flat = torch.cat([m.float().flatten(1) for m in view_features([m.float() for m in maps])], 1)
                self.features[at : at + 20] = flat.bfloat16().view(torch.int16).numpy()
                lines += [
                    json.dumps([d.points.tolist(), d.weight, d.person, d.name, d.kind]) + "\n" for d in drawn
                ]
            with self.labels.open("a") as file:
                file.writelines(lines)
            print(f"{first + CHUNK} views, {(time.monotonic() - start) / 60:.1f} min", flush=True)

    def read(self, rows: np.ndarray) -> list[Tensor]:
        """Give the three feature maps of these views."""
        flat = torch.from_numpy(self.features[rows]).view(torch.bfloat16)
        return [part.unflatten(1, s) for part, s in zip(flat.split(SIZES, 1), SHAPES, strict=True)]


def loss_of(answer: FaceAnswer, points: Tensor, weight: Tensor, person: Tensor) -> Tensor:
    """Add up cross-entropy of heat maps, distance of their means, whether points and face are in sight, and whose it is.

    Args:
        answer: of N views.
        points: float (N, 5, 2) in [0, 1]; NaN where not in sight.
        weight: float (N,); 0 where there is no face.
        person: float (N,); 1 where the face is a person's.
    """
    seen = torch.isfinite(points).all(-1)
    place = torch.nan_to_num(points)
    cells = torch.arange(GRID) + 0.5
    target = torch.exp(
        -(
            (cells[None, :] - place[..., 0, None, None] * GRID) ** 2
            + (cells[:, None] - place[..., 1, None, None] * GRID) ** 2
        )
        / (2 * SPREAD**2)
    ).flatten(2)
    target = target / target.sum(-1, keepdim=True).clamp_min(1e-6)
    logs = answer.heat.float().flatten(2).log_softmax(-1)
    chance = logs.exp().unflatten(-1, (GRID, GRID))
    x, y = (chance.sum(2) * cells).sum(-1) / GRID, (chance.sum(3) * cells).sum(-1) / GRID
    far = ((x - place[..., 0]) ** 2 + (y - place[..., 1]) ** 2 + 1e-6).sqrt()
    counted = seen * weight[:, None] * POINT_WEIGHTS
    where = ((-(target * logs).sum(-1) + 6 * far) * counted).sum() / counted.sum().clamp_min(1e-6)
    held = (weight > 0).float()
    sight = F.binary_cross_entropy_with_logits(answer.seen.float(), seen.float(), reduction="none").mean(1)
    face = F.binary_cross_entropy_with_logits(answer.face.float(), held)
    whose = F.binary_cross_entropy_with_logits(answer.person.float(), person, reduction="none")
    return where + 0.4 * (sight * held).mean() + 0.5 * face + 0.25 * (whose * held).mean()


def main() -> None:
    """Fill the bank and train on one core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--views", type=int, default=15000)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--out", type=Path, help="None: only fill the bank")
    parser.add_argument("--without", nargs="*", default=[], metavar="KIND", help="kinds never to be seen")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    bank = Bank(args.bank, args.views)
    marked = marked_faces(args.data)
    faces = [f for f in marked if f.use in ("learn", "weak")] + aligned_faces(args.data, marked)
    bank.fill(args.data, faces, args.seed)
    if args.out:
        train(bank, args.out, args.steps, args.without, args.seed)


def train(bank: Bank, out: Path, steps: int, without: list[str], seed: int) -> None:
    """Train a head for so many steps without the views of some kinds, or of pictures where they may be in sight."""
    hidden = tuple(f"scenes/{kind}/" for kind in without)
    lines = [json.loads(line) for line in bank.labels.read_text().splitlines()]
    rows = np.array([k for k, d in enumerate(lines) if d[4] not in without and not d[3].startswith(hidden)])
    points = torch.tensor([d[0] for d in lines])
    weight, person = torch.tensor([d[1] for d in lines]), torch.tensor([float(d[2]) for d in lines])
    network, mean = FaceNetwork(), FaceNetwork()
    mean.load_state_dict(network.state_dict())
    print(sum(p.numel() for p in network.parameters()), "weights;", len(rows), "views", flush=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(rows) for _ in range(steps * BATCH // len(rows) + 1)])
    start, total = time.monotonic(), 0.0
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        maps, places = bank.read(chosen), points[chosen]
        if rng.random() < 0.5:
            maps = [m.flip(-1) for m in maps]
            places = places[:, MIRRORED].clone()
            places[..., 0] = 1 - places[..., 0]
        # A channel of the features goes missing now and then, lest one be leant on.
        maps = [F.dropout2d(m, 0.08) for m in maps]
        for group in optimizer.param_groups:
            turn = (1 + math.cos(math.pi * step / steps)) / 2
            group["lr"] = RATE * min(1, (step + 1) / 60) * (0.02 + 0.98 * turn)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer = network(maps)
        loss = loss_of(answer, places, weight[chosen], person[chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        fade = min(0.995, step / (step + 20))
        with torch.no_grad():
            for slow, fast in zip(mean.parameters(), network.parameters(), strict=True):
                slow.lerp_(fast, 1 - fade)
        total += loss.item()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            minutes = (time.monotonic() - start) / 60
            print(f"{step + 1} steps, {minutes:.1f} min, loss {total / 100:.3f}", flush=True)
            total = 0.0
            state = {name: value.half().contiguous() for name, value in mean.state_dict().items()}
            save_file(state, out)


if __name__ == "__main__":
    main()
