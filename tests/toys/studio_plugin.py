"""A stranger's plugin for the studio, written into a folder as an installed distribution is."""

from __future__ import annotations

from pathlib import Path

_PLUGIN = """
from typing import Literal

from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class TintConfig(Config):
    strength: int = option(3, help="how strong <b>the tint</b> is", ge=0, le=10)
    tint: Literal["red", "green", "blue"] = option("red", help="which colour is added")
    wait: float = option(0.0, help="seconds that each picture takes", ge=0, le=60)
    deaf: bool = option(False, help="report no progress meanwhile")


@hookimpl
def chimera_fusion_generators():
    return [ComponentSpec(name="tint", summary="pixel average with a <i>tint</i>", target="toy_tint_fuser:Tint", config=TintConfig)]
"""

_FUSER = """
import time

import torch

from chimera_core.api import FusionGenerator, parent_pixels, resize_to


class Tint(FusionGenerator):
    def fuse(self, parents, weights, *, seeds, size):
        self.remark("fuser: tint (a toy)")
        end = time.monotonic() + self.config.wait
        while time.monotonic() < end:
            time.sleep(0.05)
            if not self.config.deaf:
                self.progress(1 - (end - time.monotonic()) / self.config.wait, 1)
        first = parent_pixels(parents[0], size)
        made = sum(w * resize_to(p.image, first.shape[-2:]) for p, w in zip(parents, weights))
        tint = torch.zeros(3, 1, 1)
        tint[("red", "green", "blue").index(self.config.tint)] = self.config.strength / 10
        share = 4 * weights[0] * (1 - weights[0]) / 4
        return torch.stack([(made + share * tint * (1 + 0.1 * s)).clamp(0, 1) for s in seeds])
"""


def write_tint_plugin(folder: Path) -> Path:
    """Write the plugin; the folder goes on PYTHONPATH."""
    info = folder / "toy_tint-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "toy_tint.py").write_text(_PLUGIN)
    (folder / "toy_tint_fuser.py").write_text(_FUSER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-tint\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chimera.plugins]\ntoy-tint = toy_tint\n")
    return folder
