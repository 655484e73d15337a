"""One creature has one score: `chimera score` and `chimera compare` show judges the same pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chimera_core.compare.experiment.cells import read_record
from chimera_core.compare.experiment.plan import check_experiment, lay_out
from chimera_core.compare.figures import scoring
from chimera_core.compare.making.work import Working, make_cells
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring import command, pictures
from chimera_core.scoring import parents as parents_seen
from chimera_core.scoring.plan import plan_score

Write = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photographs(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs that are not square and classes of twelve images; few views, and animals found by brightness."""
    random = np.random.default_rng(0)
    for kind, low in (("cat", 0), ("dog", 120)):
        (place / "data" / kind).mkdir(parents=True)
        for k in range(12):
            pixels = random.integers(low, low + 120, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(place / "data" / kind / f"{k}.png")
        Image.fromarray(random.integers(low, low + 120, (24, 30, 3), np.uint8)).save(place / f"{kind}.png")
    for few in ("_VIEWS", "_WHOLE", "_EXPOSURES", "_GROUND_VIEWS"):
        monkeypatch.setattr(parents_seen, few, 4)
    monkeypatch.setattr(pictures, "load_finder", lambda: None)
    monkeypatch.setattr(pictures, "find_subject", lambda finder, image: (image[:1] > 0.4).float())
    return place


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_creature_of_photographs_has_the_same_figures_from_both_commands(
    experiment: Write, photographs: Path, here: Here
) -> None:
    path = experiment(
        ('[["a.png", "b.png"]]', '[["cat.png", "dog.png"]]'),
        ("[[1, 0], [0.5, 0.5]]", "[[0.75, 0.25]]"),
        ('encoder = "cnn"', 'encoder = "robust-small-64"'),
        fusers='[fusers.mean]\nfuser = "pixel-average"\n',
    )
    run = photographs / "run"
    run.mkdir()
    comparison = lay_out(check_experiment(path, default_host()), run)
    cells = comparison.cells["mean"]
    make_cells(comparison, cells, run, Working(1, device="cpu"))
    made = {cell.id: read_record(run, cell.id) for cell in cells}
    found, _ = scoring.score_cells(comparison, made, run, device="cpu")  # type: ignore[arg-type]

    asked = "score pixel-average --parents cat.png dog.png --weights .75,.25 --n 2 --fuse-size 16 --size 16"
    code, out, err = here(*asked.split(), "--judge", "robust-small-64", "--device", "cpu", "--json")
    assert code == 0, err
    scored = json.loads(out)
    assert len(cells) == 2 == len(scored["images"])
    for cell, row in zip(cells, scored["images"], strict=True):
        for name, figure in row["metrics"].items():
            value = found.cells[cell.id][name]["value"]
            assert value == pytest.approx(figure["value"], abs=1e-6, nan_ok=True), name
    assert {n: f["value"] for n, f in found.sets["mean", 0].items()} == pytest.approx(
        {n: f["value"] for n, f in scored["set"].items()}
    )


def test_a_class_is_shown_by_the_same_images_to_both(
    experiment: Write, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "CLASS_IMAGES", 5)
    source = 'source = "folder"\noptions = { root = "data" }\n[judge]'
    path = experiment(('[["a.png", "b.png"]]', '[["cat", "dog"]]'), ("[judge]", source))
    run = photographs / "run"
    run.mkdir()
    comparison = lay_out(check_experiment(path, default_host()), run)
    plan = plan_score(
        ["cat.png"],
        parents=["cat", "dog"],
        weights=[],
        judges=["robust-small-64"],
        reference=None,
        source="folder",
        source_options={"root": "data"},
        preset=None,
        count=1,
        seed=0,
        size=16,
        fuse_size=None,
        device="cpu",
        host=default_host(),
    )
    for slot in comparison.tuples[0].slots:
        compared = scoring.parent_images(comparison, slot)
        scored = command._parent(plan, slot.label)
        assert compared is not None and len(scored.images) == 5
        assert torch.equal(compared.images, scored.images) and compared.label == scored.label
