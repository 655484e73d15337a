"""From a checked plan to a scorecard: what ``chimera score`` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from chimera_core.data.batches import ImageSplit
from chimera_core.devices import select_device
from chimera_core.fusing.fusion import Fusion
from chimera_core.images.pixels import from_uint8, middle_square, to_uint8
from chimera_core.models.fusers import is_class_name
from chimera_core.scoring.built_in import BuiltInReference
from chimera_core.scoring.built_in_files import NAME
from chimera_core.scoring.figures.figures import Measurement
from chimera_core.scoring.formula import FORMULA
from chimera_core.scoring.judge.features import at_size
from chimera_core.scoring.judge.judge import load_judge
from chimera_core.scoring.parents import ParentImages
from chimera_core.scoring.pictures import packed_split, parent_of_class, parent_of_file, read_squares
from chimera_core.scoring.plan import ScorePlan
from chimera_core.scoring.plugin_metrics import described
from chimera_core.scoring.reference import check_size
from chimera_core.scoring.scorecard import Scorecard

_FOLDER = "folder:folder"


def score(plan: ScorePlan, *, progress: Callable[[float, float], None]) -> dict[str, Any]:
    """Make or read the chimeras, and measure them.

    Returns:
        What ``chimera score --json`` prints.
    Raises:
        ChimeraError: for a picture that cannot be read, a class that a source has not, a reference too small.
    """
    start = time.perf_counter()
    device = select_device(plan.device)
    # Parents first: what is wrong with them is known before anything slow begins.
    parents = [_parent(plan, name, mask) for name, mask in zip(plan.parents, plan.masks, strict=True)]
    reference: ImageSplit | BuiltInReference = BuiltInReference()
    if plan.reference is not None:
        reference, _ = packed_split(plan.host, _FOLDER, {"root": str(plan.reference)}, size=plan.size)
        check_size(len(reference))
    judges = [load_judge(plan.host, name, device=device) for name in plan.judges]
    metrics = {name: choice.load() for name, choice in plan.metrics.items()}
    progress(1, 5)
    made = [dict(row) for row in _made(plan)]
    images = torch.cat([row.pop("pixels") for row in made])
    weights = torch.tensor([row["weights"] for row in made], dtype=torch.float64)
    progress(2, 5)
    cache = plan.host.settings.path("cache") / "judged"
    card = Scorecard(judges, reference=reference, size=plan.size, cache=cache, metrics=metrics)
    progress(3, 5)
    prepared = card.prepare(parents)
    progress(4, 5)
    rows = card.measure(prepared, images, weights)
    same_pictures = plan.fusion is not None and not any(map(is_class_name, plan.parents))
    together = card.measure_set(prepared, images, weights, same_pictures=same_pictures)
    progress(5, 5)
    return {
        "fuser": plan.fusion.fuser.label if plan.fusion else None,
        "parents": [{"label": p.label, "images": len(p.images)} for p in parents],
        "size": plan.size,
        "seed": card.seed,
        "formula": FORMULA,
        "judges": [{"name": j.name, "resize": j.resize} for j in judges],
        "reference": {"name": plan.reference.name if plan.reference else NAME, "n": card.reference_images}
        if card.reference_images
        else None,
        "probe": {"accuracy": prepared.accuracy, "temperature": prepared.temperature},
        "plugin_metrics": described(plan.metrics),
        "images": [row | {"metrics": _plain(card)} for row, card in zip(made, rows, strict=True)],
        "set": _plain(together),
        "device": str(device),
        "wall_s": round(time.perf_counter() - start, 3),
    }


def _made(plan: ScorePlan) -> list[dict[str, Any]]:
    """Give the chimeras one by one: name, weights, seed and pixels (1, 3, S, S)."""
    if plan.fusion is None:
        pixels = read_squares(plan.files, size=plan.size)
        return [
            {"image": file.name, "weights": list(w), "seed": None, "pixels": pixels[k : k + 1]}
            for k, (file, w) in enumerate(zip(plan.files, plan.weights, strict=True))
        ]
    fusion = Fusion(plan.fusion)
    rows = []
    for w in plan.weights:
        # In the colours of a PNG, so that a picture on the disk has the same score.
        drawn = torch.stack([from_uint8(to_uint8(image)) for image in fusion.make(w, plan.fusion.seeds)])
        images = at_size(middle_square(drawn), plan.size)
        for k, seed in enumerate(plan.fusion.seeds):
            rows.append({"image": None, "weights": list(w), "seed": seed, "pixels": images[k : k + 1]})
    return rows


def _parent(plan: ScorePlan, name: str, mask: str = "auto") -> ParentImages:
    if not is_class_name(name) or plan.source is None:
        return parent_of_file(Path(name), mask=None if mask == "auto" else Path(mask), size=plan.size)
    source, options = plan.source
    return parent_of_class(plan.host, name, source=source, options=options, size=plan.size, split=plan.split)


def _plain(card: Mapping[str, Measurement]) -> dict[str, Any]:
    return {name: asdict(figure) for name, figure in card.items()}
