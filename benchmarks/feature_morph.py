"""Seconds of feature-morph by instruction set and number format, each in a process of its own with one thread.

Run: python benchmarks/feature_morph.py A.jpg B.jpg [--size 256] [--preset robust-morph] [--caps default AVX2 ...]
     [--precisions fp32 bf16] [--device cpu] [--encoder RUN] [--iterations N] [--sweep]

A cap is a value of ONEDNN_MAX_CPU_ISA: what a lesser CPU would run. `first` loads the encoder and finds both animals,
`half` makes a creature at equal weights, `sweep` the other seven of a sweep of nine. `all` is the whole process, imports
included. On a machine that others use too, the processor's seconds (CPU) say more than the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CAPS = ("default", "AVX2", "AVX512_CORE", "AVX512_CORE_BF16", "AVX512_CORE_AMX")


def main() -> None:
    """Print one row per cap and number format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parents", nargs=2, type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--preset")
    parser.add_argument("--caps", nargs="+", default=CAPS)
    parser.add_argument("--precisions", nargs="+", default=["auto"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder")
    parser.add_argument("--iterations", type=int, help="fewer than the preset's, for a short look")
    parser.add_argument("--sweep", action="store_true", help="time the rest of a sweep, too")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        print(json.dumps(_times(args)))
        return
    print(_cpu())
    print(
        f"{'cap':18}{'format':8}{'first CPU s':>12}{'half s':>8}{'CPU s':>8}{'sweep CPU s':>12}{'all CPU s':>10}"
    )
    for cap in args.caps:
        for precision in args.precisions:
            _print_row(cap, precision)


def _print_row(cap: str, precision: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if cap != "default":
        environment["ONEDNN_MAX_CPU_ISA"] = cap
    command = [sys.executable, *sys.argv, "--alone", precision]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{cap:18}{precision:8}{(done.stderr.strip().splitlines() or ['failed'])[-1]}", flush=True)
        return
    row = json.loads(done.stdout.splitlines()[-1])
    sweep = f"{row['sweep_cpu_s']:12.1f}" if "sweep_cpu_s" in row else f"{'':12}"
    print(
        f"{cap:18}{precision:8}{row['first_cpu_s']:12.1f}{row['half_s']:8.1f}{row['half_cpu_s']:8.1f}{sweep}"
        f"{row['all_cpu_s']:10.1f}",
        flush=True,
    )


def _times(args: argparse.Namespace) -> dict[str, float]:
    from chimera_core.fusing.fusion import Fusion
    from chimera_core.fusing.request import check_request

    options: dict[str, Any] = {"precision": args.alone}
    if args.encoder:
        options["encoder"] = {"name": args.encoder}
    if args.iterations:
        options["iterations"] = args.iterations
    start = time.process_time()
    fusion = Fusion(
        check_request(
            args.parents,
            fuser="feature-morph",
            preset=args.preset,
            size=args.size,
            device=args.device,
            options=options,
        )
    )
    fusion.make((1.0, 0.0), [0])
    times = {"first_cpu_s": time.process_time() - start}
    start, clock = time.process_time(), time.perf_counter()
    fusion.make((0.5, 0.5), [0])
    times |= {"half_s": time.perf_counter() - clock, "half_cpu_s": time.process_time() - start}
    if args.sweep:
        start = time.process_time()
        for k in (1, 2, 3, 5, 6, 7, 8):
            fusion.make((1 - k / 8, k / 8), [0])
        times["sweep_cpu_s"] = time.process_time() - start
    return times | {"all_cpu_s": time.process_time()}


def _cpu() -> str:
    """Name the CPU, its capabilities as torch sees them, its cores and load."""
    import torch

    from chimera_core.host_cores import load_average, usable_cores

    capabilities = torch.cpu.get_capabilities()
    name = capabilities.get("cpu_name") or capabilities.get("architecture") or "unnamed CPU"
    has = " ".join(sorted(key for key, value in capabilities.items() if value is True))
    return f"{name}, {usable_cores()} cores, load {load_average()}, torch {torch.__version__}: {has}"


if __name__ == "__main__":
    main()
