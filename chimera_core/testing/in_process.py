"""Train, load and make in this process, as the commands do, with plugins that are installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import quote
from chimera_core.fusing.fusion import check_made
from chimera_core.interfaces.components import FeatureEncoder, FusionGenerator
from chimera_core.models.encoders import load_encoder
from chimera_core.models.fusers import resolve_fuser
from chimera_core.models.run_options import ENCODER, FUSER
from chimera_core.options.config import EncoderRef, SourceRef
from chimera_core.options.training import EncoderTraining, FuserRef, FuserTraining, TrainerRef
from chimera_core.plugins.discovery import default_host
from chimera_core.records import Parent
from chimera_core.runs.record import read_run_record
from chimera_core.testing.fixtures.shapes import write_shapes
from chimera_core.testing.pictures import draw_parents
from chimera_core.training.encoder_plan import plan_encoder
from chimera_core.training.fuser_plan import plan_fuser
from chimera_core.training.run import run_training

_SMALL: Mapping[str, Any] = {"size": 16, "batch": 4, "images": 32, "device": "cpu", "precision": "fp32"}


def train_fuser(
    name: str,
    run: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    resume: bool = False,
    **training: Any,
) -> Path:
    """Train a fuser, as ``chimera fuser train`` does; without more it learns 32 drawn images of 16 pixels.

    Args:
        name: of the component.
        run: folder of the run.
        options: the fuser's.
        source: ``{"name": ..., "options": {...}}``; drawn discs and squares beside the run when None.
        resume: go on with the run.
        training: options of the training, by their names in ``config.toml``: ``images``, ``size``, ``batch``, ``seed``.
    Returns:
        ``run``.
    Raises:
        ChimeraError: as the command ends with.
    """
    fuser = FuserRef(name=name, options=dict(options or {}))
    # Quality needs a judge that sees more than 16 pixels.
    values = {**_SMALL, "judge": None, **training, "source": _source(source, Path(run)), "fuser": fuser}
    host = default_host()
    run_training(plan_fuser(FuserTraining(**values), host), Path(run), host, resume=resume)
    return Path(run)


def train_encoder(
    name: str,
    run: str | Path,
    *,
    trainer: str = "standard",
    options: Mapping[str, Any] | None = None,
    trainer_options: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    resume: bool = False,
    **training: Any,
) -> Path:
    """Train an encoder, as ``chimera encoder train`` does; without more it learns 32 drawn images of 16 pixels.

    Args:
        name: of the component.
        run: folder of the run.
        trainer: name of the component.
        options: the encoder's.
        trainer_options: the trainer's.
        source: ``{"name": ..., "options": {...}}``; drawn discs and squares beside the run when None.
        resume: go on with the run.
        training: options of the training, by their names in ``config.toml``.
    Returns:
        ``run``.
    Raises:
        ChimeraError: as the command ends with.
    """
    values = {
        **_SMALL,
        **training,
        "source": _source(source, Path(run)),
        "encoder": EncoderRef(name=name, options=dict(options or {})),
        "trainer": TrainerRef(name=trainer, options=dict(trainer_options or {})),
    }
    host = default_host()
    run_training(plan_encoder(EncoderTraining(**values), host), Path(run), host, resume=resume)
    return Path(run)


def load(run: str | Path) -> FusionGenerator | FeatureEncoder:
    """Load what a run has learned: a fuser or an encoder.

    Args:
        run: its folder.
    Raises:
        ConfigError: if it is no run of either.
        DataError: if it has no weights yet.
    """
    kind = read_run_record(Path(run)).get("kind")
    if kind == ENCODER:
        return load_encoder(str(run))
    if kind != FUSER:
        raise ConfigError(f"{quote(Path(run))} is not a run of a fuser or an encoder: name another folder")
    return resolve_fuser(default_host(), str(run)).load(device=torch.device("cpu"))


def make(
    fuser: FusionGenerator,
    parents: Sequence[Parent | str] | None = None,
    weights: Sequence[float] | None = None,
    *,
    seeds: Sequence[int] = (0,),
    size: int = 64,
) -> Tensor:
    """Make creatures, under the host's guard.

    Args:
        fuser: built, or loaded.
        parents: records, or names of classes; two drawn photographs when None.
        weights: one per parent, sum 1; equal shares when None.
        seeds: of the creatures.
        size: shorter side in pixels.
    Returns:
        float32 (len(seeds), 3, H, W), or with a fourth channel of opacity.
    Raises:
        PluginError: if the result is none.
    """
    given = [Parent(p, class_name=p) if isinstance(p, str) else p for p in parents or draw_parents(2)]
    shares = tuple(weights or [1 / len(given)] * len(given))
    made = fuser.fuse(given, shares, seeds=list(seeds), size=size)
    check_made(made, len(seeds), type(fuser).__name__, size=size)
    return made


def _source(given: Mapping[str, Any] | None, run: Path) -> SourceRef:
    if given is not None:
        return SourceRef(**given)
    root = run.with_name(f"{run.name}-images")
    if not root.exists():
        write_shapes(root)
    return SourceRef(name="folder", options={"root": str(root)})
