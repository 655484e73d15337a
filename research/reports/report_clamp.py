"""What the first report's clamp does to an image, and what the encoders that learned with and without it see.

Run: python research/reports/report_clamp.py RUN [RUN ...] [--split id_test] [--limit 200]

For the normalisation and the gradients of each run's encoder, one line for each way of making the images:
`step` moves normalised images by alpha along the gradient's sign, `clamp` clamps them to [0, 1] without a step, and
`report` does both, as `report-fgsm` does. Columns: the share of the values (image, channel, pixel) that the clamp
changes; how far the result lies from the image, in pixel units ([0, 1]): largest and mean change of a value and Euclidean
length, each the median over the images; and the run's accuracy on the result. The nominal size is alpha * std.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chimera_core.api import FeatureEncoder, attack_mode, input_gradient
from chimera_core.attacks.gradients import cross_entropy_of
from chimera_core.data.batches import evaluation_batches
from chimera_core.data.preparing import plan_packing, prepare
from chimera_core.data.subsets import SubsetSplit
from chimera_core.models.encoders import load_trained_encoder, read_training
from chimera_core.plugins.discovery import default_host

ALPHA = 0.1
WAYS = {"image": (False, False), "step": (True, False), "clamp": (False, True), "report": (True, True)}
"""Name: whether there is a step, whether there is a clamp."""


def main() -> None:
    """Print a table for each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--split", default="id_test")
    parser.add_argument("--limit", type=int, default=200, help="images, evenly out of the split")
    args = parser.parse_args()
    for run in args.runs:
        measured = measure(run, split=args.split, limit=args.limit)
        nominal = ", ".join(f"{value:.4f}" for value in measured["nominal"])
        print(
            f"{run.name}: {measured['n']} images of {args.split}; nominal step {nominal} (red, green, blue)"
        )
        print(f"  {'':8} {'clamped':>8} {'largest':>8} {'mean':>8} {'L2':>8} {'right':>12}")
        for name, row in measured["ways"].items():
            right = f"{row['right']} ({row['right'] / measured['n']:.1%})"
            print(
                f"  {name:8} {row['clamped']:8.1%} {row['linf']:8.4f} {row['mean']:8.4f} {row['l2']:8.2f} {right:>12}",
                flush=True,
            )


def measure(run: Path, *, split: str, limit: int) -> dict[str, Any]:
    """Measure all ways on a run.

    Returns:
        ``n`` images; ``nominal`` step for each channel in pixel units; for each of ``ways``: ``clamped`` share,
        ``linf``, ``mean`` and ``l2`` distances, and how many the encoder gets ``right``.
    """
    host = default_host()
    config, _ = read_training(run)
    encoder = load_trained_encoder(run, host)
    source = config.source
    images = prepare(plan_packing(host, source.name, source.options, size=config.size, fit=config.fit)).split(
        split
    )
    chosen = torch.linspace(0, len(images) - 1, min(limit, len(images))).round().long()
    found: dict[str, list[dict[str, Tensor]]] = {name: [] for name in WAYS}
    for batch in evaluation_batches(SubsetSplit(images, chosen), batch=64):
        x, y = batch.pixels(), batch.labels
        with attack_mode(encoder):
            sign = input_gradient(encoder, x, cross_entropy_of(y)).sign()
        for name, (steps, clamps) in WAYS.items():
            found[name].append(_compare(encoder, x, y, sign if steps else None, clamps=clamps))
    std = encoder.get_buffer("std").flatten()
    return {
        "n": len(chosen),
        "nominal": (ALPHA * std).tolist(),
        "ways": {name: _summary(parts) for name, parts in found.items()},
    }


@torch.no_grad()
def _compare(
    encoder: FeatureEncoder, x: Tensor, y: Tensor, sign: Tensor | None, *, clamps: bool
) -> dict[str, Tensor]:
    """Make images of one way; give figures for each image (N,)."""
    mean, std = encoder.get_buffer("mean"), encoder.get_buffer("std")
    normalised = (x - mean) / std
    if sign is not None:
        normalised = normalised + ALPHA * sign
    result = normalised.clamp(0, 1) if clamps else normalised
    # Back to pixels and their own range, as `report-fgsm` does; without the clamp that is all that limits it.
    made = (result * std + mean).clamp(0, 1)
    change = (made - x).flatten(1)
    return {
        "clamped": (result != normalised).flatten(1).float().mean(1),
        "linf": change.abs().amax(1),
        "mean": change.abs().mean(1),
        "l2": change.norm(dim=1),
        "right": encoder(made).argmax(1) == y,
    }


def _summary(parts: list[dict[str, Tensor]]) -> dict[str, float]:
    joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return {
        "clamped": float(joined["clamped"].mean()),
        **{key: float(joined[key].median()) for key in ("linf", "mean", "l2")},
        "right": int(joined["right"].sum()),
    }


if __name__ == "__main__":
    main()
