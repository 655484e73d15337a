"""``--log wandb``: Weights & Biases."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from chimera_core.api import ConfigError, RunLogger, one_line
from chimera_trackers.config import WandbConfig
from chimera_trackers.kept_id import read_id, write_id


class WandbLogger(RunLogger):
    """A run of Weights & Biases with the folder's name; images are its x axis, and a resumed training goes on in it.

    What it writes lies in ``wandb/`` of the run. With ``WANDB_MODE=offline`` nothing leaves the machine: ``wandb sync``
    sends it later.

    Raises:
        ConfigError: if nobody is logged in, or the service refuses.
    """

    def __init__(self, config: WandbConfig, *, folder: Path) -> None:
        super().__init__(config, folder=folder)
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import
        import wandb

        known_as = read_id(folder, "wandb") or uuid.uuid4().hex
        try:
            self._run = wandb.init(
                project=config.project or os.environ.get("WANDB_PROJECT") or "chimera",
                name=folder.name,
                id=known_as,
                resume="allow",
                dir=str(folder),
                # Numbers only: no source, no console, no name of this machine.
                settings=wandb.Settings(
                    silent=True,
                    console="off",
                    disable_code=True,
                    disable_git=True,
                    x_disable_stats=True,
                    x_disable_meta=True,
                    save_code=False,
                ),
            )
        except Exception as error:  # border: of the service, the network, an account
            raise ConfigError(
                f"--log wandb: {one_line(error, limit=200)}: run wandb login, or set WANDB_MODE=offline"
            ) from None
        write_id(folder, "wandb", known_as)
        self._run.define_metric("*", step_metric="images")

    def log(self, images: int, values: Mapping[str, float]) -> None:
        """Send numbers; steps are counted by the service, since after a resume images go back to a checkpoint."""
        self._run.log({"images": images, **values})

    def close(self) -> None:
        """End the run: what is left is sent."""
        self._run.finish()
