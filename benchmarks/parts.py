"""How long `chimera fuse` takes to put one animal's head on another's body: cold, warm, large, and in memory.

    python benchmarks/parts.py BODY HEAD

BODY and HEAD are photographs; cold is the command in a new process, warm a second pair of pictures in a loaded fuser.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (384, 1024)


def main() -> None:
    """Print seconds and mebibytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("body", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    for size in SIZES:
        seconds, memory = cold(args.body, args.head, size, args.device)
        print(f"{size} px cold {seconds:.1f} s wall, {memory:.0f} MiB at the highest")
    for size in SIZES:
        print(f"{size} px warm {warm(args.body, args.head, size, args.device):.1f} s wall")


def cold(body: Path, head: Path, size: int, device: str) -> tuple[float, float]:
    """Time the command in a process of its own: seconds, and MiB of its largest moment."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("chimera")),
            "fuse",
            str(body),
            str(head),
            "--fuser",
            "parts",
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


def warm(body: Path, head: Path, size: int, device: str) -> float:
    """Time new parents in a loaded fuser: seconds."""
    from chimera_core.fusing import Fusion
    from chimera_core.fusing_plan import plan_fusion

    def fusion(first: Path, second: Path, loaded: Fusion | None = None) -> Fusion:
        plan = plan_fusion([first, second], fuser="parts", size=size, device=device)
        return Fusion(plan, fuser=loaded.fuser if loaded else None)

    loaded = fusion(head, body)
    loaded.make((0.5, 0.5), [0])
    start = time.perf_counter()
    fusion(body, head, loaded).make((0.5, 0.5), [0])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
