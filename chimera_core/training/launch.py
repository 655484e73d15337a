"""Start a training: device, number format and processes, by Lightning Fabric and torchrun. All of it is in this file.

One process is the rule. With ``--devices N`` the command starts itself N times under torchrun's agent
(gloo on CPUs, NCCL on GPUs); if one of them dies, the agent ends the others.

The processes meet through files in a private folder and talk over the loopback interface. torchrun's own store would
listen on every address of the machine without asking who calls, and the agent unpickles what it finds there.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from chimera_core.devices import select_device
from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import disk_trouble
from chimera_core.precision import Precision
from chimera_core.processes import is_worker, python_command

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_GRACE_S = 120  # for the other processes to save their checkpoint after Ctrl-C
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
_STORE = "CHIMERA_PROCESSES_MEET_IN"
"""Environment of the processes of ``--devices``: the file through which they find each other."""


def rank() -> int:
    """Give this process's number among those of its training; 0 when it is alone."""
    return int(os.environ["RANK"]) if is_worker() else 0


def check_devices(device: str, devices: int) -> torch.device:
    """Check that a training can have these devices; give the first.

    Raises:
        ConfigError: if they are not on this machine.
    """
    first = select_device(device)
    if devices > 1:
        if first.type == "mps" or ":" in device:
            raise ConfigError(f"--devices {devices} does not go with --device {device}: use cpu or cuda")
        if first.type == "cuda" and devices > torch.cuda.device_count():
            raise ConfigError(
                f"--devices {devices} asks for more GPUs than the {torch.cuda.device_count()} of this machine"
            )
    return first


def open_fabric(device: torch.device, precision: Precision) -> Fabric:
    """Open Fabric for this process; under torchrun it joins the others.

    Raises:
        RunError: if the processes do not find each other.
    """
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    together = is_worker()
    if together:
        devices: int | list[int] = int(os.environ["LOCAL_WORLD_SIZE"])
    else:
        devices = [device.index or 0] if device.type == "cuda" else 1
    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        strategy="ddp" if together else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    with peers():
        if _STORE in os.environ:
            _meet(device)
        fabric.launch()
    return fabric


def _meet(device: torch.device) -> None:
    """Join the other processes through the file that ``run_processes`` named; Fabric would open a port."""
    on_gpu = device.type == "cuda"
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=Path(os.environ[_STORE]).as_uri(),
        rank=rank(),
        world_size=int(os.environ["WORLD_SIZE"]),
        device_id=torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else None,
    )


def close_fabric(fabric: Fabric) -> None:
    """Part from the other processes, when all have come so far: none leaves while another still needs it."""
    if fabric.world_size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()


def run_processes(count: int, arguments: Sequence[str]) -> int:
    """Run ``python ARGUMENTS`` in so many processes that train together, and wait for them.

    Nothing that they open can be reached from another machine, and no file of theirs by another user.

    Args:
        arguments: what comes after ``python``.
    Returns:
        0, 130 when interrupted, or the exit code of a process that said what was wrong.
    Raises:
        RunError: if a process was killed, saying which; or if there is no place for temporary files.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="chimera-", ignore_cleanup_errors=True) as folder:
            return _run_processes(count, arguments, Path(folder))
    except OSError as error:
        raise RunError(f"cannot start {count} processes: {disk_trouble(error)}") from error


def _run_processes(count: int, arguments: Sequence[str], folder: Path) -> int:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(
        logging.root.manager.loggerDict
    ):  # one line is enough, and ours; each has a level of its own
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ[_STORE] = str(folder / "processes")
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = (
        "1"  # else the agent opens a port for them all the same
    )
    if interface := _loopback():
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = interface
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint=str(folder / "agent"),
        rdzv_configs={"store_type": "file"},
        # All are on this machine: its own name, which torchrun would hand to them, need not resolve.
        local_addr="localhost",
        run_id=uuid.uuid4().hex,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
        shutdown_timeout=_GRACE_S,
        # The agent would catch SIGHUP even where nohup lets everyone ignore it.
        signals_to_handle=",".join(
            name for name in _SIGNALS if hasattr(signal, name) and not _is_ignored(name)
        ),
    )
    program, *switches = python_command()
    try:
        elastic_launch(config, program)(*switches, *arguments)
    except SignalException:
        return 130
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode < 0:
            raise RunError(
                f"process {number} of {count} was killed ({failure.signal_name()}) and the others were stopped: "
                "go on with --resume"
            ) from None
        return int(failure.exitcode)
    return 0


def _is_ignored(name: str) -> bool:
    return name == "SIGHUP" and signal.getsignal(getattr(signal, name)) == signal.SIG_IGN


def _loopback() -> str:
    """Name the interface that no other machine reaches; empty where it cannot be told."""
    names = [name for _, name in socket.if_nameindex()] if hasattr(socket, "if_nameindex") else []
    return next((name for name in names if name in ("lo", "lo0")), "")


@contextmanager
def peers() -> Iterator[None]:
    """Turn what collective operations raise when another process is gone into one clear line.

    Raises:
        RunError: in that case.
    """
    try:
        yield
    except RuntimeError as error:
        lost = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "timed out")
        if is_worker() and any(phrase in str(error) for phrase in lost):
            raise RunError(
                f"process {rank()} lost another one of this training: go on with --resume"
            ) from error
        raise


def agree(fabric: Fabric, *flags: bool) -> tuple[bool, ...]:
    """Tell every process whether any of them raised each flag, so that all leave the loop at the same step."""
    if fabric.world_size == 1:
        return flags
    raised = torch.tensor(flags, dtype=torch.int32, device=fabric.device)
    return tuple(bool(flag) for flag in _sum(raised).tolist())


def average(fabric: Fabric, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Average scalars over the processes, which all have equally many images."""
    detached = {name: value.detach().float() for name, value in values.items()}
    if fabric.world_size == 1 or not detached:
        return detached
    stacked = _sum(torch.stack(list(detached.values()))) / fabric.world_size
    return dict(zip(detached, stacked, strict=True))


def average_number(fabric: Fabric, value: float) -> float:
    """Average a number over the processes, which then all have the same; alone there is nothing to wait for."""
    if fabric.world_size == 1:
        return value
    return float(_sum(torch.tensor(value, device=fabric.device))) / fabric.world_size


def average_gradients(fabric: Fabric, parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over the processes, by hand: DDP carries no gradients of gradients.

    Args:
        parameters: the same in every process; those without a gradient have none in any.
    Source: as StyleGAN2-ADA does, Karras et al. 2020.
    """
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if gradients:
        flat = _sum(torch.cat([g.flatten() for g in gradients])) / fabric.world_size
        for own, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            own.copy_(mean.view_as(own))


def total(fabric: Fabric, counts: Tensor) -> Tensor:
    """Add counts up over the processes."""
    return counts if fabric.world_size == 1 else _sum(counts)


def share_buffers(fabric: Fabric, *modules: nn.Module) -> None:
    """Give every process the buffers of the first: running statistics of batch norm differ between them."""
    if fabric.world_size > 1:
        for module in modules:
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, src=0)


def _sum(values: Tensor) -> Tensor:
    summed = values.clone()
    torch.distributed.all_reduce(summed)
    return summed
