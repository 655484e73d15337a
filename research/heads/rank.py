"""Train and measure the ranker of cuts that ships in ``chimera_core/subjects/weights/cuts.safetensors``.

    python research/heads/rank.py --data FOLDER --cache CACHE [--maps maps.pt] [--out cuts.safetensors]

It learns to predict the overlap of a cut's head with the marked head, from maps of kinds that their probe never saw
(train.py left them in CACHE), and is measured on kinds that it never saw itself.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from marked import FOLDS, Marked, read_marks
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import load_encoder
from chimera_core.subjects.cut_candidates import Grid, find_candidates
from chimera_core.subjects.cut_features import describe, describe_sides
from chimera_core.subjects.cut_ranker import CutRanker

NETWORKS, UNITS, EPOCHS, BATCH = 4, 32, 16, 16
NOISE, DROPOUT, DECAY = 0.3, 0.4, 1.0
# Pictures of several animals have more than one right answer.
SEVERAL_WEIGHT = 0.4
# Share of pictures whose neck is hidden in training: ``propose_cuts`` works without.
HIDDEN = 0.2
RIGHT = 0.5


@dataclass
class Described:
    """A picture's candidates: numbers (K, F), overlaps with the marked head (K,), and of their ends (K, 3), nape's side (K,)."""

    marked: Marked
    numbers: Tensor
    overlap: Tensor
    sides: Tensor
    nape: Tensor
    peak_right: bool


def look(marked: Marked, maps: np.ndarray) -> Described | None:
    """Find and describe candidates in a picture; None where there are none."""
    grid = Grid.of(marked.mask[0].numpy(), maps[0], maps[1:])
    if grid is None:
        return None
    candidates = find_candidates(grid)
    if len(candidates.angle) == 0:
        return None
    x0, y0, x1, y1 = marked.box * grid.scale
    rows, columns = np.mgrid[: grid.animal.shape[0], : grid.animal.shape[1]] + 0.5
    truth = grid.animal & (columns > x0) & (columns < x1) & (rows > y0) & (rows < y1)
    both, sizes = (candidates.heads & truth).sum((1, 2)), candidates.heads.sum((1, 2))
    overlap = both / np.maximum(1, truth.sum() + sizes - both)
    nape, throat, _ = marked.points
    across = np.stack([-np.sin(candidates.angle), np.cos(candidates.angle)], 1)
    row, column = grid.peak()
    return Described(
        marked,
        torch.from_numpy(np.stack(list(describe(grid, candidates).values()), 1)).float(),
        torch.from_numpy(overlap).float(),
        torch.from_numpy(describe_sides(grid, candidates)).float(),
        torch.from_numpy(np.sign(across @ (nape - throat))).float(),
        bool(x0 <= column + 0.5 <= x1 and y0 <= row + 0.5 <= y1),
    )


def fit(pictures: list[Described]) -> CutRanker:
    """Train networks of one hidden layer, laid side by side, to pick the best candidate and to predict its overlap."""
    every = torch.cat([p.numbers for p in pictures])
    mean, spread = every.nanmean(0), every.std(0) + 1e-3
    most = max(len(p.numbers) for p in pictures)
    numbers, overlap, there = (torch.zeros(len(pictures), most, *s) for s in ((every.shape[1],), (), ()))
    for k, p in enumerate(pictures):
        numbers[k, : len(p.numbers)] = ((p.numbers - mean) / spread).clamp(-4, 4)
        overlap[k, : len(p.numbers)] = p.overlap
        there[k, : len(p.numbers)] = 1
    absent = -1e4 * (1 - there)
    wanted = F.softmax(12 * overlap + absent, 1)
    weight = torch.tensor([SEVERAL_WEIGHT if p.marked.view == "several" else 1.0 for p in pictures])
    parts = []
    for seed in range(NETWORKS):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(every.shape[1], UNITS), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(UNITS, 1)
        )
        optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=DECAY)
        steps = EPOCHS * (len(pictures) // BATCH + 1)
        rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        for _ in range(EPOCHS):
            for index in torch.randperm(len(pictures)).split(BATCH):
                seen = numbers[index] + NOISE * torch.randn_like(numbers[index])
                # The neck's numbers come last.
                seen[..., -3:] *= (torch.rand(len(index)) > HIDDEN).float()[:, None, None]
                odds = 4 * net(seen)[..., 0]
                picking = -(wanted[index] * F.log_softmax(2 * odds + absent[index], 1)).sum(1)
                errors = F.binary_cross_entropy_with_logits(odds, overlap[index], reduction="none")
                predicting = (errors * there[index]).sum(1) / there[index].sum(1)
                loss = (weight[index] * (picking + 3 * predicting)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rate.step()
        first, last = net[0], net[3]
        parts.append((first.weight, first.bias, 4 * last.weight[0] / NETWORKS, 4 * last.bias[0] / NETWORKS))
    hidden, bias, out, out_bias = zip(*parts, strict=True)
    state = mean, spread, torch.cat(hidden), torch.cat(bias), torch.cat(out), torch.stack(out_bias).sum()
    return CutRanker(*(t.detach().numpy() for t in state), fit_sides(pictures).numpy())


def fit_sides(pictures: list[Described]) -> Tensor:
    """Weigh what tells a cut's nape: logistic regression, odd, on the candidates that lie best."""
    best = [(p, int(p.overlap.argmax())) for p in pictures if p.marked.view != "several"]
    best = [(p, k) for p, k in best if p.overlap[k] > RIGHT]
    x, y = torch.stack([p.sides[k] for p, k in best]), torch.stack([p.nape[k] for p, k in best])
    spread = x.square().mean(0).sqrt() + 1e-6
    weights = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.softplus(-y * (x / spread @ weights)).sum() + weights.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach() / spread


def predict(ranker: CutRanker, picture: Described) -> np.ndarray:
    """Predict the overlap of every candidate: (K,)."""
    return ranker.expected_overlap(dict(enumerate(picture.numbers.numpy().T)))


def calibration(predicted: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Fit slope and offset of the log-odds by which predictions become expectations."""
    odds, target = torch.from_numpy(np.log(predicted / (1 - predicted))), torch.from_numpy(true).double()
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(line[0] * odds + line[1], target)
        value.backward()
        return value

    optimizer.step(loss)
    return float(line[0].detach()), float(line[1].detach())


def calibrated(ranker: CutRanker, slope: float, offset: float) -> CutRanker:
    """Move a ranker's log-odds onto a line."""
    return ranker._replace(out=ranker.out * slope, out_bias=ranker.out_bias * slope + offset)


@dataclass
class Result:
    """How a picture's best cut came out, with a ranker that never saw its kind."""

    marked: Marked
    peak_right: bool = False
    overlap: float = 0.0
    expected: float = 0.0
    side_right: bool | None = None


def measure(picture: Described, ranker: CutRanker) -> Result:
    """Take the best cut by a ranker."""
    expected = predict(ranker, picture)
    best = int(expected.argmax())
    overlap = float(picture.overlap[best])
    side = float(picture.sides[best] @ torch.from_numpy(ranker.sides)) * float(picture.nape[best]) > 0
    return Result(
        picture.marked, picture.peak_right, overlap, float(expected[best]), side if overlap > RIGHT else None
    )


def report(results: list[Result]) -> None:
    """Print figures by group and fold."""
    groups = {
        "cut-outs": lambda r: r.marked.is_cutout,
        "photographs of one": lambda r: not r.marked.is_cutout and r.marked.view != "several",
        "  with body": lambda r: not r.marked.is_cutout and r.marked.view == "body",
        "  portraits": lambda r: not r.marked.is_cutout and r.marked.view == "portrait",
        "photographs of several": lambda r: not r.marked.is_cutout and r.marked.view == "several",
    }
    for name, belongs in groups.items():
        for fold in (None, *range(FOLDS)):
            rows = [r for r in results if belongs(r) and fold in (None, r.marked.fold)]
            if not rows:
                continue
            sides = [r.side_right for r in rows if r.side_right is not None]
            print(
                f"{name:23s} fold {'all' if fold is None else fold}  n {len(rows):3d}  "
                f"peak {np.mean([r.peak_right for r in rows]):.3f}  "
                f"cut right {np.mean([r.overlap > RIGHT for r in rows]):.3f}  overlap {np.mean([r.overlap for r in rows]):.3f}  "
                f"expected {np.mean([r.expected for r in rows]):.3f}  nape right {np.mean(sides) if sides else 0:.3f} of {len(sides)}"
            )
    order = sorted(results, key=lambda r: -r.expected)
    for part in np.array_split(np.arange(len(order)), 6):
        rows = [order[k] for k in part]
        print(
            f"expected {np.mean([r.expected for r in rows]):.2f}  overlap {np.mean([r.overlap for r in rows]):.2f}  "
            f"right {np.mean([r.overlap > RIGHT for r in rows]):.2f}"
        )


def main() -> None:
    """Measure in folds by kind, then train what ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--maps", default="maps.pt", help="file of maps in CACHE, by train.py")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    maps = torch.load(args.cache / args.maps)
    marks = [m for m in read_marks(args.data, load_encoder("timm:timm"), args.cache) if m.name in maps]
    looked = [(m, look(m, maps[m.name].float().numpy())) for m in marks]
    pictures = [p for _, p in looked if p is not None]
    pairs = []
    for k in range(FOLDS):
        ranker = fit([p for p in pictures if p.marked.fold != k])
        pairs += [(p, ranker) for p in pictures if p.marked.fold == k]
    first = [measure(p, ranker) for p, ranker in pairs]
    one = [r for r in first if r.marked.view != "several"]
    line = calibration(np.array([r.expected for r in one]), np.array([r.overlap for r in one]))
    print(f"calibration: log-odds times {line[0]:.3f} plus {line[1]:.3f}")
    results = [measure(p, calibrated(ranker, *line)) for p, ranker in pairs]
    report(results + [Result(m) for m, p in looked if p is None])
    if args.out:
        state = calibrated(fit(pictures), *line)._asdict()
        save_file(
            {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in state.items()}, args.out
        )
        print("wrote", args.out, "from", len(pictures), "pictures")


if __name__ == "__main__":
    main()
