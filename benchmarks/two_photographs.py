"""How long `chimera fuse` takes for two photographs: cold, warm, large, and in memory.

Run: python benchmarks/two_photographs.py FIRST SECOND [--fuser parts] [--sizes 384 1024] [--device cpu]

Cold is the command in a new process, warm a second pair of pictures in a loaded fuser.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Read two photographs from the command line, and print seconds and mebibytes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--fuser", default="parts")
    parser.add_argument("--sizes", nargs="+", type=int, default=[384, 1024], help="shorter sides in pixels")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    for size in args.sizes:
        seconds, memory = cold(args.first, args.second, args.fuser, size, args.device)
        print(f"{size} px cold {seconds:.1f} s wall, {memory:.0f} MiB at the highest")
    for size in args.sizes:
        pair = (args.first, args.second)
        print(f"{size} px warm {warm(pair[::-1], pair, args.fuser, size, args.device):.1f} s wall")


def cold(one: Path, other: Path, fuser: str, size: int, device: str) -> tuple[float, float]:
    """Time the command in a process of its own: seconds, and MiB of its largest moment."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("chimera")),
            "fuse",
            str(one),
            str(other),
            "--fuser",
            fuser,
        ]
        command += ["--size", str(size), "--device", device, "-o", str(Path(folder) / "out.png")]
        start = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    # Kibibytes on Linux, bytes on macOS.
    return seconds, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def warm(
    before: tuple[Path, Path], pair: tuple[Path, Path], fuser: str, size: int, device: str, **options: Any
) -> float:
    """Time new parents in a loaded fuser.

    Args:
        before: parents of the first creature, which is not timed.
        pair: parents of the timed one.
        options: of the fuser.
    Returns:
        Seconds, finding both animals included. The creature is on the CPU by then, so a GPU has done its work.
    """
    from chimera_core.fusing.fusion import Fusion
    from chimera_core.fusing.request import check_request

    def fusion(parents: tuple[Path, Path], loaded: Fusion | None = None) -> Fusion:
        plan = check_request(parents, fuser=fuser, size=size, device=device, options=options)
        return Fusion(plan, fuser=loaded.fuser if loaded else None)

    loaded = fusion(before)
    loaded.make((0.5, 0.5), [0])
    start = time.perf_counter()
    fusion(pair, loaded).make((0.5, 0.5), [0])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
