"""Which device to work on."""

from __future__ import annotations

import torch

from chimera_core.errors import ConfigError


def select_device(name: str = "auto") -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device that exists here.

    Raises:
        ConfigError: if there is no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cpu" and not index:
        return torch.device("cpu")
    if kind == "mps" and not index and torch.backends.mps.is_available():
        return torch.device("mps")
    is_index = not index or index.isdigit()
    if (
        kind == "cuda"
        and torch.cuda.is_available()
        and is_index
        and int(index or 0) < torch.cuda.device_count()
    ):
        return torch.device("cuda", int(index or 0))
    if kind not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"unknown device '{name}': use auto, cpu, cuda, cuda:N or mps")
    raise ConfigError(f"device '{name}' is not on this machine: use --device auto or --device cpu")
