"""Choose the number format of a training by what the device declares, never by a timing."""

from __future__ import annotations

from typing import Literal

import torch

from chimera_core.errors import ConfigError

Precision = Literal["fp32", "bf16"]


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Turn ``auto``, ``fp32`` or ``bf16`` into what a training on this device computes in.

    ``bf16`` is mixed precision: convolutions and matrix products in bfloat16, weights and sums in fp32.

    Raises:
        ConfigError: if bf16 is asked for and the device does not have it, or the word is unknown.
    """
    if wanted == "fp32":
        return "fp32"
    lacking = _lack_of_bf16(device)
    if wanted == "auto":
        return "fp32" if lacking else "bf16"
    if wanted != "bf16":
        raise ConfigError(f"unknown precision '{wanted}': use auto, fp32 or bf16")
    if lacking:
        raise ConfigError(f"precision bf16 is not to be had: {lacking}: use --precision auto or fp32")
    return "bf16"


def _lack_of_bf16(device: torch.device) -> str:
    """Return why a device has no bfloat16 arithmetic; empty if it has."""
    if device.type == "cpu":
        declared = torch.cpu.get_capabilities()
        if declared.get("amx_bf16") or declared.get("avx512_bf16"):
            return ""
        return f"this CPU ({declared.get('cpu_name') or declared['architecture']}) has neither AMX nor AVX-512 bf16"
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return ""
        return f"{torch.cuda.get_device_name(device)} does not compute in it"
    return f"we do not train in it on {device.type}"
