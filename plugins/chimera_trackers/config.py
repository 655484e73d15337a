"""Options of the loggers. Torch-free."""

from __future__ import annotations

from chimera_core.api import Config, option


class TensorBoardConfig(Config):
    """TensorBoard has no options of ours."""


class WandbConfig(Config):
    """Where Weights & Biases puts a run."""

    project: str = option("", help="project; empty: WANDB_PROJECT, else chimera")


class MlflowConfig(Config):
    """Where MLflow puts a run."""

    experiment: str = option("", help="experiment; empty: MLFLOW_EXPERIMENT_NAME, else chimera")
