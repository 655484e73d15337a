"""Seconds and loss of style transfer by Gram matrices, by optimiser and encoder, side by side in one run.

Run: python benchmarks/style_transfer.py A.jpg B.jpg [--size 256] [--iterations 60] [--repeats 1] [--device auto]

Losses compare within one encoder only. VGG19, the peer that most style transfer runs on, has random weights here
unless --vgg-weights names a file: its time is the same. `mask` is the time to find both animals.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from training import wait_for

from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import check_request

LITE0: dict[str, Any] = {}
VGG19_TAPS = ["features.0", "features.5", "features.10", "features.19", "features.28", "features.21"]


def main() -> None:
    """Print one row per optimiser and encoder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parents", nargs=2, type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--vgg-weights", default="none")
    args = parser.parse_args()
    vgg19 = {
        "encoder": {
            "name": "timm",
            "options": {"model": "vgg19", "weights": args.vgg_weights, "taps": VGG19_TAPS},
        },
        "style_levels": [0, 1, 2, 3, 4],
        "content_level": 5,
    }
    print(_machine(args.device))
    print(
        f"{'encoder':10} {'optimiser':10} {'iterations':>10} {'load s':>7} {'mask s':>7} {'draw s':>7} {'loss':>9}"
    )
    for title, encoder in (("lite0", LITE0), ("vgg19", vgg19)):
        for optimizer, iterations in (("lbfgs", args.iterations), ("adam", 3 * args.iterations)):
            options = {**encoder, "coat": "gram", "optimizer": optimizer, "iterations": iterations}
            load_s, mask_s, draw_s, loss = time_drawing(
                args.parents, options, size=args.size, device=args.device, repeats=args.repeats
            )
            print(
                f"{title:10} {optimizer:10} {iterations:10} {load_s:7.2f} {mask_s:7.2f} {draw_s:7.2f} {loss:9.4f}",
                flush=True,
            )


def time_drawing(
    parents: Sequence[Path], options: dict[str, Any], *, size: int, device: str, repeats: int
) -> tuple[float, float, float, float]:
    """Load, find the animals (with one seed drawn), then draw other seeds.

    Returns:
        Seconds to load, to find the animals and to draw (the median of the repeats), and the last loss.
    """
    start = time.perf_counter()
    fusion = Fusion(check_request(parents, fuser="style-transfer", options=options, size=size, device=device))
    load_s = time.perf_counter() - start
    start = time.perf_counter()
    fusion.make((1.0, 0.0), [0])
    wait_for(fusion.device)
    mask_s = time.perf_counter() - start
    draws = []
    for seed in range(1, repeats + 1):
        start = time.perf_counter()
        fusion.make((0.5, 0.5), [seed])
        wait_for(fusion.device)
        draws.append(time.perf_counter() - start)
    return load_s, mask_s, statistics.median(draws), fusion.fuser.last_loss  # type: ignore[attr-defined]


def _machine(device: str) -> str:
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return f"device: {torch.cuda.get_device_name()}"
    flags = sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True)
    return f"device: cpu, {torch.get_num_threads()} threads, {' '.join(flags)}"


if __name__ == "__main__":
    main()
