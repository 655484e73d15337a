"""The ``wilds`` package, kept from the network and from what it lacks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from chimera_core.api import ConfigError, DataError, PluginError

_ABSENT = object()
_LOCK = threading.Lock()


def open_dataset(folder: Path) -> Any:
    """Open wilds' ``IWildCamDataset``.

    Args:
        folder: ``iwildcam_v2.0`` whose table was checked: wilds itself only asserts.
    Raises:
        DataError: if wilds cannot read it: a date without fractions is what remains.
        PluginError: if wilds cannot be imported.
    """
    dataset_class = import_dataset_class()
    try:
        return dataset_class(root_dir=str(folder.parent), download=False)
    except (AssertionError, TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"wilds cannot read '{folder / 'metadata.csv'}' ({reason}): "
            "dates must look like 2013-06-05 05:44:19.000, with the fraction"
        ) from error


def import_dataset_class() -> Any:
    """Import wilds' ``IWildCamDataset`` without the thread that asks the network for a newer wilds.

    ``wilds.version`` starts that thread where ``outdated`` can be imported, and does without where it cannot.

    Raises:
        PluginError: if wilds, or something that it needs, cannot be imported.
    """
    with _stand_in("outdated", None):
        try:
            from wilds.datasets.iwildcam_dataset import IWildCamDataset
        except ImportError as error:
            raise PluginError(
                f"wilds cannot be imported ({error}): pip install --force-reinstall wilds"
            ) from error
    return IWildCamDataset


def score(dataset: Any, rows: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """Score predictions with wilds itself.

    Args:
        dataset: wilds' ``IWildCamDataset``.
        rows: of its table, N of them.
        predictions: class indices, N.
    Returns:
        Under wilds' own names: ``F1-macro_all`` (the official metric; the mean over the classes that occur in
        ``rows``), ``recall-macro_all``, ``acc_avg``, and ``acc_wg``, the accuracy at the worst location.
    Raises:
        ConfigError: if there are not N predictions, or one is no class index.
    """
    from wilds.common.grouper import CombinatorialGrouper
    from wilds.common.metrics.all_metrics import Accuracy

    index = torch.as_tensor(rows)
    y_true, metadata = dataset.y_array[index], dataset.metadata_array[index]
    y_pred = _check_predictions(predictions, len(rows), int(dataset.n_classes))
    results, _ = dataset.eval(y_pred, y_true, metadata)
    by_location = CombinatorialGrouper(dataset, ["location"])
    with _stand_in("torch_scatter", _torch_scatter()):
        grouped, _ = dataset.standard_group_eval(
            Accuracy(), by_location, y_pred, y_true, metadata, aggregate=False
        )
    return {**{name: float(value) for name, value in results.items()}, "acc_wg": float(grouped["acc_wg"])}


def _check_predictions(predictions: Sequence[int], count: int, n_classes: int) -> Tensor:
    y_pred = torch.as_tensor(predictions)
    if y_pred.shape != (count,) or y_pred.is_floating_point() or y_pred.dtype == torch.bool:
        raise ConfigError(
            f"predictions are {y_pred.dtype} {tuple(y_pred.shape)}: pass one class index for each of {count} images"
        )
    y_pred = y_pred.to("cpu", torch.int64)
    wrong = y_pred[(y_pred < 0) | (y_pred >= n_classes)]
    if len(wrong):
        raise ConfigError(
            f"prediction {int(wrong[0])} is not a class: they are numbered 0 to {n_classes - 1}"
        )
    return y_pred


def _torch_scatter() -> ModuleType:
    """Make what wilds uses of ``torch_scatter``, which seldom has a build for a new torch."""

    def scatter(src: Tensor, index: Tensor, *, dim_size: int, reduce: str) -> Tensor:
        means = torch.zeros(dim_size, dtype=src.dtype, device=src.device)
        return means.scatter_reduce(0, index, src, reduce, include_self=False)

    module = ModuleType("torch_scatter")
    module.scatter = scatter  # type: ignore[attr-defined]
    return module


@contextmanager
def _stand_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """Let ``import name`` give another module meanwhile; None: let it fail."""
    with _LOCK:
        before = sys.modules.get(name, _ABSENT)
        sys.modules[name] = module  # type: ignore[assignment]
        try:
            yield
        finally:
            if before is _ABSENT:
                del sys.modules[name]
            else:
                sys.modules[name] = before  # type: ignore[assignment]
