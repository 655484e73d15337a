"""Seconds of feature-morph by number format, side by side in one run.

Run: python benchmarks/feature_morph.py A.jpg B.jpg [--size 256] [--repeats 1] [--device auto] [--encoder RUN]

`first` is the time to load the encoder and find both animals; `half` of a creature at equal weights; `sweep` of the
other creatures of a sweep of nine, of which only the way beyond equal weights is optimised. `cpu` are the process's
seconds over all threads, which say more than the clock on a machine that others use too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from chimera_core.errors import ChimeraError
from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import plan_fusion


def main() -> None:
    """Print one row per number format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parents", nargs=2, type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--encoder")
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {torch.cpu.get_capabilities().get('cpu_name', 'unnamed CPU')}")
    print(f"{'precision':10} {'first s':>8} {'half s':>8} {'half cpu':>9} {'sweep s':>8}")
    for precision in ("fp32", "bf16"):
        try:
            first_s, half_s, half_cpu_s, sweep_s = _time(args, precision)
        except ChimeraError as error:
            print(f"{precision:10} {error}")
            continue
        print(f"{precision:10} {first_s:8.2f} {half_s:8.2f} {half_cpu_s:9.2f} {sweep_s:8.2f}", flush=True)


def _time(args: argparse.Namespace, precision: str) -> tuple[float, float, float, float]:
    """Take the median over repeats, each with a seed of its own."""
    options: dict[str, Any] = {"precision": precision}
    if args.encoder:
        options["encoder"] = {"name": args.encoder}
    start = time.perf_counter()
    fusion = Fusion(
        plan_fusion(args.parents, fuser="feature-morph", size=args.size, device=args.device, options=options)
    )
    fusion.make((1.0, 0.0), [0])
    first_s = time.perf_counter() - start
    rows = []
    for seed in range(args.repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        fusion.make((0.5, 0.5), [seed])
        half_s, half_cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
        start = time.perf_counter()
        for k in (1, 2, 3, 5, 6, 7, 8):
            fusion.make((1 - k / 8, k / 8), [seed])
        rows.append((half_s, half_cpu_s, time.perf_counter() - start))
    half_s, half_cpu_s, sweep_s = map(statistics.median, zip(*rows, strict=True))
    return first_s, half_s, half_cpu_s, sweep_s


if __name__ == "__main__":
    main()
