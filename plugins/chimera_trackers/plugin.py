"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import ComponentSpec, hookimpl
from chimera_trackers.config import MlflowConfig, TensorBoardConfig, WandbConfig

CHIMERA_API = 1


@hookimpl
def chimera_run_loggers() -> list[ComponentSpec]:
    """Offer ``tensorboard``, ``wandb`` and ``mlflow``."""
    return [
        ComponentSpec(
            name="tensorboard",
            summary="event files for TensorBoard, in the run's folder",
            target="chimera_trackers.tensorboard:TensorBoardLogger",
            config=TensorBoardConfig,
            extra="tensorboard",
            requires=("tensorboard",),
            home_page="https://www.tensorflow.org/tensorboard",
        ),
        ComponentSpec(
            name="wandb",
            summary="Weights & Biases; offline with WANDB_MODE=offline, then in the run's folder",
            target="chimera_trackers.wandb_logger:WandbLogger",
            config=WandbConfig,
            extra="wandb",
            requires=("wandb",),
            home_page="https://docs.wandb.ai",
        ),
        ComponentSpec(
            name="mlflow",
            summary="MLflow; where MLFLOW_TRACKING_URI says, else on this machine",
            target="chimera_trackers.mlflow_logger:MlflowLogger",
            config=MlflowConfig,
            extra="mlflow",
            requires=("mlflow",),
            home_page="https://mlflow.org",
        ),
    ]
