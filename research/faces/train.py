"""Train the head that ships in ``chimera_core/subjects/weights/face.safetensors``.

    python research/faces/train.py --data FOLDER --minutes M --out face.safetensors

FOLDER holds the pictures that marks.txt names, and the aligned sets of cats and persons; nothing of it is kept but the
head. Each step sees some new views and more of those kept from earlier ones, for the encoder costs most.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from views import Views, aligned_faces, marked_faces

from chimera_core.api import load_encoder
from chimera_core.subjects.face_network import GRID, LEVELS, MIRRORED, FaceAnswer, FaceNetwork, view_features

FRESH, KEPT = 12, 24
# Views kept: 0.14 MB each.
MEMORY = 9000
RATE = 2.5e-3
POINT_WEIGHTS = torch.tensor([1.5, 1.5, 1.3, 1.0, 0.7])
# Of a point's target, in cells.
SPREAD = 0.9


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
    """Train for so many minutes on one core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--without", nargs="*", default=[], metavar="KIND", help="kinds never to be seen")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    encoder = load_encoder("timm:timm").requires_grad_(False)
    marked = marked_faces(args.data)
    hidden = tuple(f"scenes/{kind}/" for kind in args.without)
    faces = [f for f in marked if f.use in ("learn", "weak") and f.kind not in args.without]
    faces = [f for f in faces + aligned_faces(args.data, marked) if not f.name.startswith(hidden)]
    views = Views(args.data, faces, rng)
    network, mean = FaceNetwork(), FaceNetwork()
    mean.load_state_dict(network.state_dict())
    print(sum(p.numel() for p in network.parameters()), "weights;", len(faces), "faces", flush=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    kept: list[tuple[list[Tensor], Tensor, float, bool]] = []
    start, step, total = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        drawn = [views.draw() for _ in range(FRESH)]
        x = torch.from_numpy(np.stack([d[0] for d in drawn])).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            maps = encoder.feature_maps(x.contiguous(memory_format=torch.channels_last), LEVELS)
        maps = [m.bfloat16() for m in view_features([m.float() for m in maps])]
        new = [([m[i].clone() for m in maps], torch.from_numpy(d[1]), *d[2:]) for i, d in enumerate(drawn)]
        batch = new + [kept[i] for i in rng.integers(len(kept), size=KEPT)] if kept else new
        for one in new:
            if len(kept) < MEMORY:
                kept.append(one)
            else:
                kept[rng.integers(MEMORY)] = one
        maps = [torch.stack([b[0][k] for b in batch]) for k in range(len(LEVELS))]
        points = torch.stack([b[1] for b in batch])
        weight = torch.tensor([b[2] for b in batch])
        person = torch.tensor([float(b[3]) for b in batch])
        if rng.random() < 0.5:
            maps = [m.flip(-1) for m in maps]
            points = points[:, MIRRORED].clone()
            points[..., 0] = 1 - points[..., 0]
        # A channel of the features goes missing now and then, lest one be leant on.
        maps = [F.dropout2d(m, 0.08) for m in maps]
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 60) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer = network(maps)
        loss = loss_of(answer, points, weight, person)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        fade = min(0.995, step / (step + 20))
        with torch.no_grad():
            for slow, fast in zip(mean.parameters(), network.parameters(), strict=True):
                slow.lerp_(fast, 1 - fade)
        step, total = step + 1, total + loss.item()
        if step % 50 == 0:
            print(
                f"{step} steps, {(time.monotonic() - start) / 60:.1f} min, loss {total / 50:.3f}", flush=True
            )
            total = 0.0
        if step % 300 == 0:
            _save(mean, args.out)
    _save(mean, args.out)
    print("wrote", args.out, step, "steps", flush=True)


def _save(network: FaceNetwork, out: Path) -> None:
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, out)


if __name__ == "__main__":
    main()
