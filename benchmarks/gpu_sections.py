"""What ``gpu.py`` measures, one function a section. Every time ends with a synchronised device."""

from __future__ import annotations

import dataclasses
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from gan import our_steps
from PIL import Image, ImageOps
from roofline import Peaks, Work, measure_peaks
from style_transfer import time_drawing
from training import TRIALS, WARM_UP, MadeUp, Trial, describe_machine, race_attacks, run_ours, wait_for
from two_photographs import cold, warm

from chimera_core.data.packed import PackedSplit
from chimera_core.data.packing import pack
from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import check_request
from chimera_core.library.collections import ShippedPictures

ROOT = Path(__file__).resolve().parent.parent
BATCHES = {"small-64": 1024, "lite0-128": 256}
GAN_BATCH = 256
QUICK_BATCH = 2
SWEEP = [k / 10 for k in range(11)]
JUNIT_S = 20  # seconds that an interrupted pytest has to write what it found

Figures = dict[str, dict[str, Any]]
"""Titles -> ``value`` and ``unit``."""


@dataclass(frozen=True)
class Setting:
    """Where to measure, whether only to try that it works, and how many seconds there are."""

    device: str
    quick: bool
    seconds: float

    @property
    def place(self) -> torch.device:
        """Where tensors are put."""
        return torch.device(self.device)


def describe(setting: Setting) -> dict[str, Any]:
    """Name the machine: processor, card, driver, versions."""
    machine = describe_machine(setting.place)
    if setting.place.type != "cuda":
        return machine | {"driver": None}
    properties = torch.cuda.get_device_properties(setting.place)
    return machine | {
        "gpu_memory_mb": properties.total_memory // 10**6,
        "gpu_processors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "driver": _driver(),
    }


def time_training(setting: Setting) -> Figures:
    """Time training steps against the roofline of the peaks that the same device reaches."""
    device = setting.place
    peaks = measure_peaks(device, **({"side": 256, "megabytes": 8} if setting.quick else PEAK_SIZES))
    found = {
        "peak of bf16 matrix products": figure(peaks.flops[torch.bfloat16] / 1e12, "TFLOP/s"),
        "peak of fp32 matrix products": figure(peaks.flops[torch.float32] / 1e12, "TFLOP/s"),
        "peak of copying, read and written": figure(peaks.bytes / 1e9, "GB/s"),
    }
    steps = 1 if setting.quick else 30
    with tempfile.TemporaryDirectory() as scratch:
        for trial in TRIALS:
            if trial.title in BATCHES:
                trial = dataclasses.replace(
                    trial, batch=QUICK_BATCH if setting.quick else BATCHES[trial.title]
                )
                step_s, work = time_encoder(trial, Path(scratch) / trial.title, device, steps)
                found |= _share(f"{trial.title}, batch {trial.batch}", trial.batch, step_s, work, peaks)
    batch = QUICK_BATCH if setting.quick else GAN_BATCH
    images = torch.randint(0, 256, (8 * batch, 3, 64, 64), dtype=torch.uint8)
    step_s, work = _time_steps(our_steps(images, batch, device), device, steps)
    return found | _share(f"DCGAN-64, batch {batch}", batch, step_s, work, peaks)


PEAK_SIZES = {"side": 8192, "megabytes": 2000}


def time_encoder(trial: Trial, folder: Path, device: torch.device, steps: int) -> tuple[float, Work]:
    """Time steps of the real loop, and count what one of them does: seconds of a step, and its work."""
    train = pack_made_up(4 * trial.batch, trial.size, folder / "cache")
    work, done, start, taken = Work(), 0, 0.0, 0.0

    class EnoughError(Exception):
        """Leaves the loop."""

    def watch(images: float, total: float) -> None:
        nonlocal done, start, taken
        done += 1
        if done == WARM_UP:
            work.__enter__()  # type: ignore[no-untyped-call]
        elif done == WARM_UP + 1:
            work.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        elif done == WARM_UP + 2:  # after one more, which counts nothing and is not timed
            wait_for(device)
            start = time.perf_counter()
        elif done == WARM_UP + 2 + steps:
            wait_for(device)
            taken = time.perf_counter() - start
            raise EnoughError

    try:
        run_ours(trial, trial.build(), train, folder / "run", device, watch, compiled=False)
    except EnoughError:
        return taken / steps, work
    raise AssertionError("the loop ended by itself")


def time_waiting(setting: Setting) -> Figures:
    """Time how long a DCGAN-64 waits for its images, which come from the packed cache."""
    from data import waiting

    count, batch, steps = (32, QUICK_BATCH, 1) if setting.quick else (8192, 64, 200)
    with tempfile.TemporaryDirectory() as scratch:
        split = pack_made_up(count, 64, Path(scratch))
        speed, share = waiting(split, setting.place, batch=batch, steps=steps)
    return {
        f"DCGAN-64, batch {batch}": figure(speed, "images/s"),
        f"DCGAN-64, batch {batch}, waiting for data": figure(100 * share, "% of the time"),
    }


def time_parts(setting: Setting) -> Figures:
    """Time ``parts`` on the pictures that come along: in a new process, and new parents in a loaded fuser."""
    sizes = (64,) if setting.quick else (384, 1024)
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        pair, mirrored = _pictures(Path(scratch))
        for size in sizes:
            taken = warm(mirrored, pair, "parts", size, setting.device)
            found[f"parts, {size} px, new parents in a loaded fuser"] = figure(taken, "s")
        if not setting.quick:
            taken, peak = cold(*pair, "parts", sizes[0], setting.device)
            found[f"parts, {sizes[0]} px, the command from start to finish"] = figure(taken, "s")
            found[f"parts, {sizes[0]} px, memory of the command"] = figure(peak, "MiB")
    return found


def time_coats(setting: Setting) -> Figures:
    """Time both coats of ``style-transfer``: to find the animals, and to draw."""
    size, repeats = (64, 1) if setting.quick else (512, 3)
    few: dict[str, Any] = {"iterations": 2} if setting.quick else {}
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        pair, _ = _pictures(Path(scratch))
        for coat in ("gram", "patches"):
            load_s, find_s, draw_s, _ = time_drawing(
                pair, {"coat": coat, **few}, size=size, device=setting.device, repeats=repeats
            )
            for what, taken in (("load", load_s), ("find animals", find_s), ("draw", draw_s)):
                found[f"{coat}, {size} px, {what}"] = figure(taken, "s")
    return found


def time_person_cat(setting: Setting) -> Figures:
    """Time creatures between a person and a cat by the generators that come along."""
    from person_cat import made

    count = 2 if setting.quick else 500
    weights = SWEEP[::5] if setting.quick else SWEEP
    found = {}
    for model in ("person-cat",) if setting.quick else ("person-cat", "faces-128"):
        fusion = Fusion(check_request(["person", "cat"], fuser=model, device=setting.device))
        size = fusion.make((0.5, 0.5), [0]).shape[-1]
        runs: dict[str, tuple[Callable[[], object], int, str]] = {
            "one creature": (lambda f=fusion: f.make((0.5, 0.5), [1]), 1, "ms"),  # type: ignore[misc]
            f"sweep of {len(weights)}": (
                lambda f=fusion: [f.make((1 - w, w), [1]) for w in weights],  # type: ignore[misc]
                1,
                "ms",
            ),
            "creatures, 50 at a time": (
                lambda f=fusion: made(f.make, (0.5, 0.5), range(count)),  # type: ignore[misc]
                count,
                "images/s",
            ),
        }
        for what, (run, images, unit) in runs.items():
            taken = _median_s(run, fusion.device, repeats=1 if setting.quick else 5)
            found[f"{model}, {size} px, {what}"] = figure(
                1000 * taken if unit == "ms" else images / taken, unit
            )
    return found


def time_attack(setting: Setting) -> Figures:
    """Time PGD-10, beside torchattacks' where that is installed."""
    images = QUICK_BATCH if setting.quick else 512
    race = race_attacks(setting.place, 1 if setting.quick else 5, images=images)
    title = f"PGD-10 on {race['network']}, fp32, {images} images"
    found = {title: figure(race["ours_images_per_s"], "images/s")}
    if "error" not in race:
        found[f"{title}: times torchattacks' speed"] = figure(race["ratio"], "times")
        found[f"{title}: largest difference from torchattacks'"] = figure(
            race["largest_difference"], "of a pixel's range"
        )
    return found


def run_tests(setting: Setting) -> Figures:
    """Run the tests that are marked gpu, and count how they end; those that the time was enough for.

    Raises:
        RuntimeError: if one fails, the time was not enough, or pytest found none.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
        command += [f"--junitxml={report}", *(["tests/test_gpu.py"] if setting.quick else [])]
        start = time.perf_counter()
        with (Path(scratch) / "output.txt").open("w+") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
            in_time = _wait(process, setting.seconds - JUNIT_S)
            output.seek(0)
            said = output.read()[-2000:]
        taken = time.perf_counter() - start
        if not report.is_file():
            raise RuntimeError(f"pytest wrote no report: {said}")
        counts, failures = count_tests(report)
    found = {name: figure(count, "tests") for name, count in counts.items()}
    found["from start to finish"] = figure(taken, "s")
    if not in_time or failures or not sum(counts.values()):
        trouble = failures or ["no test was found" if in_time else "the time was not enough for all tests"]
        raise SectionError("; ".join(trouble), found)
    return found


class SectionError(RuntimeError):
    """A section failed, and has figures nevertheless."""

    def __init__(self, message: str, figures: Figures) -> None:
        super().__init__(message)
        self.figures = figures


SECTIONS: dict[str, Callable[[Setting], Figures]] = {
    "training": time_training,
    "data": time_waiting,
    "parts": time_parts,
    "style": time_coats,
    "person-cat": time_person_cat,
    "pgd-10": time_attack,
    "tests": run_tests,
}


def figure(value: float, unit: str) -> dict[str, Any]:
    """Put a number beside its unit."""
    return {"value": value, "unit": unit}


def pack_made_up(count: int, size: int, folder: Path) -> PackedSplit:
    """Pack made-up images."""
    packing = {"source": "made-up", "size": size, "fit": "crop", "options": {}, "plugin": "", "version": ""}
    return pack(MadeUp(count, size), {"format": 1, **packing}, folder, workers=1).split("train")


def count_tests(report: Path) -> tuple[dict[str, int], list[str]]:
    """Count how tests ended by pytest's report (JUnit's XML): the counts, and the names of those that failed."""
    counts, failures = {"passed": 0, "failed": 0, "skipped": 0}, []
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
            failures.append(f"failed: {case.get('classname')}::{case.get('name')}")
        else:
            counts["skipped" if case.find("skipped") is not None else "passed"] += 1
    return counts, failures


def _share(title: str, batch: int, step_s: float, work: Work, peaks: Peaks) -> Figures:
    return {
        f"{title}: speed": figure(batch / step_s, "images/s"),
        f"{title}: a step": figure(1000 * step_s, "ms"),
        f"{title}: arithmetic": figure(work.flops / step_s / 1e12, "TFLOP/s"),
        f"{title}: share of peak arithmetic": figure(100 * work.arithmetic_seconds_at(peaks) / step_s, "%"),
        f"{title}: share of the roofline": figure(100 * work.seconds_at(peaks) / step_s, "%"),
    }


def _time_steps(step: Callable[[], None], device: torch.device, steps: int) -> tuple[float, Work]:
    for _ in range(WARM_UP):
        step()
    with Work() as work:
        step()
    step()
    wait_for(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait_for(device)
    return (time.perf_counter() - start) / steps, work


def _median_s(run: Callable[[], object], device: torch.device, *, repeats: int) -> float:
    taken = []
    for _ in range(1 + repeats):
        wait_for(device)
        start = time.perf_counter()
        run()
        wait_for(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])  # the first one allocates memory and chooses kernels


def _pictures(folder: Path) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """Give the astronaut and the cat, which come with scikit-image, and copies of both the other way round."""
    shipped = ShippedPictures().pictures()
    pair = (shipped["astronaut"][0], shipped["cat"][0])
    mirrored = (folder / pair[0].name, folder / pair[1].name)
    for path, copy in zip(pair, mirrored, strict=True):
        with Image.open(path) as picture:
            ImageOps.mirror(picture).save(copy)
    return pair, mirrored


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for pytest, and interrupt it when the time is up: it then writes its report; say whether it ended by itself."""
    try:
        process.wait(max(seconds, 0))
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(JUNIT_S / 2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return False


def _driver() -> str | None:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True, env=os.environ)
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.split("\n")[0].strip() or None
