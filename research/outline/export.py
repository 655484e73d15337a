"""Write a trained decoder as the package carries it: fp16, without counters."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file


def main() -> None:
    """Convert a state dict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="of train.py (.pt)")
    parser.add_argument("out", type=Path, help="outline.safetensors")
    arguments = parser.parse_args()
    state = torch.load(arguments.state)
    kept = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    # Means and variances reach beyond what is exact in fp16, and are few.
    single = ("scale", "running_mean", "running_var")
    save_file(
        {
            name: value.contiguous() if name.endswith(single) else value.half().contiguous()
            for name, value in kept.items()
        },
        arguments.out,
    )


if __name__ == "__main__":
    main()
