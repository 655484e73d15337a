"""How long the command line takes to answer, and where the time goes.

Run: python benchmarks/startup.py [--runs 7] [--third-party 20]
"""

from __future__ import annotations

import argparse
import re
import resource
import site
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

COMMANDS = (["--help"], ["plugins", "list"], ["fuse", "--help"])

PLUGIN = """
from chimera_core.api import ComponentSpec, Config, hookimpl, option
CHIMERA_API = 1
class Options(Config):
    shade: float = option(0.5, help="how light", ge=0, le=1)
    count: int = option(8, help="how many", ge=1)
@hookimpl
def chimera_fusion_generators():
    name = __package__.replace("_", "-")
    return [ComponentSpec(name=name, summary="a stranger's", target=__package__ + ".fuser:F", config=Options)]
"""


def main() -> None:
    """Print the median wall and CPU time of each command beside that of an empty interpreter, then the slowest imports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument(
        "--third-party", type=int, default=20, help="strangers' plugins in the second table; 0: none"
    )
    given = parser.parse_args()
    report_all(sys.executable, given.runs)
    if given.third_party:
        with tempfile.TemporaryDirectory() as folder:
            python = crowded_environment(Path(folder), given.third_party)
            print(f"\nwith {given.third_party} more plugins installed")
            report_all(python, given.runs)
    print("\nslowest imports of `chimera fuse --help`, cumulative ms")
    for cumulative_ms, name in slowest_imports(["fuse", "--help"], count=12):
        print(f"{cumulative_ms:8.1f}  {name}")


def report_all(python: str, runs: int) -> None:
    print(
        f"{'command':24} {'median s':>9} {'min':>7} {'max':>7} {'CPU s':>7}   ({runs} runs after one warm-up)"
    )
    report("python -c pass", [python, "-c", "pass"], runs)
    for command in COMMANDS:
        report("chimera " + " ".join(command), [python, "-P", "-m", "chimera_core.cli", *command], runs)


def report(title: str, command: list[str], runs: int) -> None:
    """Print wall times, and the CPU time of the median run: where that is much less, the machine was busy."""
    times, cpu_times = [], []
    for _ in range(runs + 1):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    counted = times[1:]
    cpu = statistics.median(cpu_times[1:])
    print(f"{title:24} {statistics.median(counted):9.3f} {min(counted):7.3f} {max(counted):7.3f} {cpu:7.3f}")


def crowded_environment(folder: Path, plugins: int) -> str:
    """Make a virtual environment that sees this one's packages and has strangers' wheels; give its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = str(folder / "venv" / "bin" / "python")
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    behind = sorted({sysconfig.get_paths()["purelib"], *site.getsitepackages()})
    (packages / "zz_parent.pth").write_text("\n".join(f"import site; site.addsitedir({p!r})" for p in behind))
    wheels = [write_wheel(folder, f"stranger_{k}") for k in range(plugins)]
    pip = [sys.executable, "-m", "pip", "-q", "--python", python, "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, *map(str, wheels)], check=True)
    return python


def write_wheel(folder: Path, package: str) -> Path:
    info = f"{package}-1.0.dist-info"
    files = {
        f"{package}/__init__.py": "",
        f"{package}/plugin.py": PLUGIN,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[chimera.plugins]\n{package} = {package}.plugin\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def slowest_imports(command: list[str], *, count: int) -> list[tuple[float, str]]:
    shown = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", "-m", "chimera_core.cli", *command],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = re.findall(r"import time:\s+\d+ \|\s+(\d+) \| (\S+)", shown.stderr)
    return sorted(((int(us) / 1000, name) for us, name in lines), reverse=True)[:count]


if __name__ == "__main__":
    main()
