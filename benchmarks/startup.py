"""How long the command line takes to answer, and where the time goes.

Run: python benchmarks/startup.py [--runs 7]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time

COMMANDS = (["--help"], ["plugins", "list"], ["fuse", "--help"])


def main() -> None:
    """Print the median wall time of each command beside that of an empty interpreter, then the slowest imports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    print(f"{'command':24} {'median s':>9} {'min':>7} {'max':>7}   ({runs} runs after one warm-up)")
    report("python -c pass", ["-c", "pass"], runs)
    for command in COMMANDS:
        report("chimera " + " ".join(command), ["-m", "chimera_core.cli", *command], runs)
    print("\nslowest imports of `chimera fuse --help`, cumulative ms")
    for cumulative_ms, name in slowest_imports(["fuse", "--help"], count=12):
        print(f"{cumulative_ms:8.1f}  {name}")


def report(title: str, args: list[str], runs: int) -> None:
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *args], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    counted = times[1:]
    print(f"{title:24} {statistics.median(counted):9.3f} {min(counted):7.3f} {max(counted):7.3f}")


def slowest_imports(command: list[str], *, count: int) -> list[tuple[float, str]]:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "chimera_core.cli", *command],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = re.findall(r"import time:\s+\d+ \|\s+(\d+) \| (\S+)", shown.stderr)
    return sorted(((int(us) / 1000, name) for us, name in lines), reverse=True)[:count]


if __name__ == "__main__":
    main()
