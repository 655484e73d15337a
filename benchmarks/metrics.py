"""Distances between sets of features: ours and torch-fidelity's, in one run: values, seconds, peak memory.

Run: python benchmarks/metrics.py [--images 10000] [--dimensions 2048] [--rounds 3] [--json]

Features are random, as rectified Gaussians, the second set a little brighter; what is measured is the arithmetic that
follows a network, which is the same for both. Every measurement runs in a process of its own, theirs and ours in
turns, so that its peak is its own: the most memory that the process ever held, less what it held with the features
read. The fastest of the rounds is shown; where other work keeps the cores busy, CPU seconds (of all threads) compare better.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

METRICS = ("kid", "frechet", "precision-recall")
SUBSETS, SUBSET_SIZE, NEIGHBOURS = 100, 1000, 3


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both and print what was found."""
    args = _arguments(argv)
    if args.worker:
        print(json.dumps(_work(*args.worker)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_sets(Path(folder), images=args.images, dimensions=args.dimensions)
        rows = [compare(metric, Path(folder), rounds=args.rounds) for metric in METRICS]
    found = {"images": args.images, "dimensions": args.dimensions, "threads": torch.get_num_threads()}
    found["metrics"] = rows
    print(json.dumps(found) if args.json else as_text(found))


def write_sets(folder: Path, *, images: int, dimensions: int) -> None:
    """Write two sets of features as ``x.npy`` and ``y.npy``."""
    from chimera_core.scoring.judge.feature_file import write_features

    generator = torch.Generator().manual_seed(0)
    for name, shift in (("x", 0.0), ("y", 0.05)):
        features = (torch.randn(images, dimensions, generator=generator) + shift).relu()
        write_features(folder / f"{name}.npy", [features], n=images)


def compare(metric: str, folder: Path, *, rounds: int) -> dict[str, Any]:
    """Measure one metric by both, in turns."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for side, results in found.items():
            command = [sys.executable, __file__, "--worker", metric, side, str(folder)]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    row: dict[str, Any] = {"metric": metric}
    for side, results in found.items():
        row[side] = {
            "values": results[0]["values"],
            "wall_s": min(r["wall_s"] for r in results),
            "cpu_s": min(r["cpu_s"] for r in results),
            "peak_mb": min(r["peak_mb"] for r in results),
        }
    pairs = zip(row["ours"]["values"], row["theirs"]["values"], strict=True)
    row["largest_difference"] = max(abs(a - b) for a, b in pairs)
    return row


def as_text(found: dict[str, Any]) -> str:
    """Lay the figures out as a Markdown table."""
    lines = [
        f"{found['images']} images of {found['dimensions']} features each, {found['threads']} threads",
        "",
        "| metric | ours | torch-fidelity | seconds, ours | theirs | CPU seconds, ours | theirs "
        "| MB above the features, ours | theirs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["metrics"]:
        ours, theirs = row["ours"], row["theirs"]
        values = [", ".join(f"{v:.6g}" for v in side["values"]) for side in (ours, theirs)]
        lines.append(
            f"| {row['metric']} | {values[0]} | {values[1]} | {ours['wall_s']:.2f} | {theirs['wall_s']:.2f} "
            f"| {ours['cpu_s']:.2f} | {theirs['cpu_s']:.2f} "
            f"| {ours['peak_mb']:.0f} | {theirs['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def _work(metric: str, side: str, folder: str) -> dict[str, Any]:
    import numpy as np

    x, y = (torch.from_numpy(np.load(Path(folder) / f"{name}.npy")) for name in ("x", "y"))
    measure = (_ours if side == "ours" else _theirs)(metric)
    measure(x[:1100], y[:1100])  # imports and first calls
    _forget_peak()
    before = _memory("VmRSS")
    start, start_cpu = time.perf_counter(), time.process_time()
    values = measure(x, y)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    return {"values": values, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": (_memory("VmHWM") - before) / 1024}


def _ours(metric: str) -> Callable[[Tensor, Tensor], list[float]]:
    from chimera_core.scoring.sets.frechet import FeatureStatistics, frechet_distance
    from chimera_core.scoring.sets.kid import kernel_distance
    from chimera_core.scoring.sets.neighbours import precision_recall

    def kid(x: Tensor, y: Tensor) -> list[float]:
        found = kernel_distance(x, y, extractor="random", subsets=SUBSETS, subset_size=SUBSET_SIZE)
        return [found.mean, found.std]

    def frechet(x: Tensor, y: Tensor) -> list[float]:
        return [frechet_distance(FeatureStatistics(x), FeatureStatistics(y), extractor="random").value]

    def neighbours(x: Tensor, y: Tensor) -> list[float]:
        found = precision_recall(y, x, k=NEIGHBOURS)
        return [found.precision, found.recall]

    return {"kid": kid, "frechet": frechet, "precision-recall": neighbours}[metric]


def _theirs(metric: str) -> Callable[[Tensor, Tensor], list[float]]:
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    def kid(x: Tensor, y: Tensor) -> list[float]:
        found = metric_kid.kid_features_to_metric(
            x,
            y,
            kid_subsets=SUBSETS,
            kid_subset_size=SUBSET_SIZE,
            kid_degree=3,
            kid_gamma=None,
            kid_coef0=1,
            rng_seed=2020,
            verbose=False,
        )
        return [float(value) for value in found.values()]

    def frechet(x: Tensor, y: Tensor) -> list[float]:
        sets = (metric_fid.fid_features_to_statistics(features) for features in (x, y))
        return [float(v) for v in metric_fid.fid_statistics_to_metric(*sets, verbose=False).values()]

    def neighbours(x: Tensor, y: Tensor) -> list[float]:
        found = metric_prc.prc_features_to_metric(x, y, prc_neighborhood=NEIGHBOURS, verbose=False)
        return [float(found["precision"]), float(found["recall"])]

    return {"kid": kid, "frechet": frechet, "precision-recall": neighbours}[metric]


def _forget_peak() -> None:
    # The kernel's own way to start the peak anew; where it is not allowed the peak is that of the whole process.
    Path("/proc/self/clear_refs").write_text("5")


def _memory(key: str) -> int:
    """Read a figure of this process in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"this system does not tell {key}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
