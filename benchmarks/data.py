"""Time a folder of images decoded in every epoch against the packed cache.

    python benchmarks/data.py FOLDER_OF_CLASS_FOLDERS [--many 200000]

One run prints, at 64 and 224 px: (a) torchvision's ImageFolder with torch's DataLoader and two workers, decoding and
resizing; (b) our first epoch, preparing included; (c) our later epochs, as uint8 batches. Then the share of its time
that a DCGAN-64 waits for data, and the peak of anonymous memory (what is not page cache) while many made-up images of
64 px are packed and read once.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from training import wait_for

from chimera_core.api import DatasetSource, Example, SourceInfo
from chimera_core.data.batches import ImageSplit, TrainingBatches
from chimera_core.data.packed import PackedSource
from chimera_core.data.packing import pack
from chimera_core.data.preparing import Request, plan_packing, prepare
from chimera_core.plugins.discovery import default_host
from chimera_core.precision import choose_precision

BATCH = 64
WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--many", type=int, default=200_000, help="made-up images of the memory trial")
    chosen = parser.parse_args()
    flags = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2")
    capabilities = ", ".join(name for name in flags if torch.cpu.get_capabilities().get(name) is True)
    print(f"{platform.processor() or platform.machine()}: {capabilities}; {torch.get_num_threads()} threads")
    print(f"{'side':>5} {'':34} {'seconds':>8} {'images/s':>9} {'times (a)':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        memory(chosen.many, Path(scratch))  # first: what the other trials leave behind is not its doing
        for size in (64, 224):
            packed = compare(chosen.folder, size, Path(scratch))
            if size == 64:
                at_64 = packed
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        speed, waited = waiting(at_64.split("all"), device)
        print(f"DCGAN-64 on {device}: {speed:,.0f} images/s, {waited:.2%} of its time waiting for data")


def compare(folder: Path, size: int, scratch: Path) -> PackedSource:
    squared = v2.Compose([v2.PILToTensor(), v2.Resize(size, antialias=True), v2.CenterCrop(size)])
    loader = DataLoader(
        ImageFolder(folder, squared), BATCH, shuffle=True, num_workers=WORKERS, drop_last=True
    )
    start = time.perf_counter()
    images = sum(len(batch) for batch, _ in loader)
    plain_s = time.perf_counter() - start
    show(size, "(a) ImageFolder and DataLoader", plain_s, images, plain_s)

    made = plan_packing(default_host(), "folder", {"root": str(folder), "layout": "class"}, size=size)
    start = time.perf_counter()
    packed = prepare(Request(made.component, made.config, made.packing, scratch), workers=WORKERS)
    batches = TrainingBatches(packed.split("all"), batch=BATCH, seed=0)
    run_epoch(batches, 0)
    show(size, "(b) packed, first epoch with prepare", time.perf_counter() - start, images, plain_s)

    epochs = 5
    start = time.perf_counter()
    for epoch in range(1, 1 + epochs):
        run_epoch(batches, epoch)
    show(size, "(c) packed, later epochs", (time.perf_counter() - start) / epochs, images, plain_s)
    return packed


def run_epoch(batches: TrainingBatches, epoch: int) -> None:
    stream = batches.from_step(epoch * batches.steps_per_epoch)
    for _ in range(batches.steps_per_epoch):
        next(stream)


def show(size: int, what: str, wall_s: float, images: int, plain_s: float) -> None:
    print(
        f"{size:>5} {what:<36} {wall_s:>6.2f} {images / wall_s:>9,.0f} {plain_s / wall_s:>9.1f}", flush=True
    )


def waiting(
    split: ImageSplit, device: torch.device, *, batch: int = BATCH, steps: int = 20
) -> tuple[float, float]:
    """Train a DCGAN-64 (Radford et al. 2015; 64 base channels, precision auto) for a few steps; time what its data cost.

    Returns:
        Images per second, and the share of its time that it waited for images, in [0, 1].
    """
    critic = nn.Sequential(
        *(
            layer
            for c_in, c_out in ((3, 64), (64, 128), (128, 256), (256, 512))
            for layer in _down(c_in, c_out)
        ),
        nn.Conv2d(512, 1, 4),
    ).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = nn.Sequential(
        nn.ConvTranspose2d(100, 512, 4),
        *(
            layer
            for c_in, c_out in ((512, 256), (256, 128), (128, 64), (64, 3))
            for layer in _up(c_in, c_out)
        ),
        nn.Tanh(),
    ).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (critic, generator)]
    stream = TrainingBatches(split, batch=batch, seed=0, device=device).from_step()
    mixed = choose_precision("auto", device) == "bf16"
    waited = total = 0.0
    for step in range(steps + 3):
        start = time.perf_counter()
        real = next(stream).pixels() * 2 - 1
        wait_for(device)
        fetched = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            fake = generator(torch.randn(batch, 100, 1, 1, device=device))
            critic_loss = (
                nn.functional.softplus(critic(fake.detach())) + nn.functional.softplus(-critic(real))
            ).mean()
            _step(optimizers[0], critic_loss)
            _step(optimizers[1], nn.functional.softplus(-critic(fake)).mean())
        wait_for(device)
        if step >= 3:
            waited += fetched - start
            total += time.perf_counter() - start
    return steps * batch / total, waited / total


def _down(c_in: int, c_out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(c_in, c_out, 4, 2, 1), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2)


def _up(c_in: int, c_out: int) -> tuple[nn.Module, ...]:
    return nn.BatchNorm2d(c_in), nn.ReLU(), nn.ConvTranspose2d(c_in, c_out, 4, 2, 1)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


class MadeUp(DatasetSource):
    """Images of noise."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.labels = [0] * count

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("made-up", ("noise",), {"train": self.count})

    def open(self, split: str) -> MadeUp:
        return self

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        pixels = np.random.default_rng(index).integers(0, 256, (3, 64, 64), dtype=np.uint8)
        return Example(torch.from_numpy(pixels), 0)


def memory(count: int, scratch: Path) -> None:
    packing = {
        "format": 1,
        "source": "made-up",
        "plugin": "",
        "version": "",
        "options": {},
        "size": 64,
        "fit": "crop",
    }
    before = _anonymous_bytes()
    with watched() as peak:
        start = time.perf_counter()
        packed = pack(MadeUp(count), packing, scratch, workers=WORKERS)
        packed_s = time.perf_counter() - start
        batches = TrainingBatches(packed.split("train"), batch=BATCH, seed=0)
        start = time.perf_counter()
        run_epoch(batches, 0)
        epoch_s = time.perf_counter() - start
    print(
        f"{count:,} made-up images of 64 px: packed in {packed_s:.0f} s, an epoch in {epoch_s:.1f} s, peak of anonymous "
        f"memory of all processes {peak[0] / 1e6:,.0f} MB, of which {before / 1e6:,.0f} MB before (torch, mostly)"
    )


@contextmanager
def watched() -> Iterator[list[int]]:
    """Note the peak of anonymous memory of this process and its children."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], _anonymous_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _anonymous_bytes() -> int:
    """Add up the anonymous memory of this process and its children; what they share counts once."""
    total = 0
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for process in (str(os.getpid()), *children):
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss_Anon")
        )
    return total


if __name__ == "__main__":
    main()
