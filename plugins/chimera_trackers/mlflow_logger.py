"""``--log mlflow``: MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from chimera_core.api import ConfigError, RunLogger, one_line
from chimera_trackers.config import MlflowConfig
from chimera_trackers.kept_id import read_id, write_id


class MlflowLogger(RunLogger):
    """A run of MLflow with the folder's name; its steps are images, and a resumed training goes on in it.

    Raises:
        ConfigError: if the server or store refuses.
    """

    def __init__(self, config: MlflowConfig, *, folder: Path) -> None:
        super().__init__(config, folder=folder)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        try:
            self._client = MlflowClient()
            self._id = self._known(folder) or self._new(config, folder)
        except (MlflowException, OSError, ImportError) as error:
            raise ConfigError(
                f"--log mlflow: {one_line(error, limit=200)}: mend that, or say with MLFLOW_TRACKING_URI where to log"
            ) from None
        write_id(folder, "mlflow", self._id)

    def log(self, images: int, values: Mapping[str, float]) -> None:
        """Send all numbers at once."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, images) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._id)

    def _known(self, folder: Path) -> str | None:
        """Take up the run of a training that is resumed; None: the store has forgotten it, or it is another one."""
        from mlflow.exceptions import MlflowException

        known_as = read_id(folder, "mlflow")
        if known_as is None:
            return None
        try:
            self._client.update_run(known_as, status="RUNNING")
        except MlflowException:
            return None
        return known_as

    def _new(self, config: MlflowConfig, folder: Path) -> str:
        name = config.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "chimera"
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        return str(self._client.create_run(number, run_name=folder.name).info.run_id)
