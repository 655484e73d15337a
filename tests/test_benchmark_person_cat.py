"""The benchmark of creatures says of fake fusers what is plain to see: smooth, jumping, deaf to noise, wrong way round."""

from __future__ import annotations

import json
import runpy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import FeatureEncoder, FusionGenerator, Parent
from chimera_core.data.batches import TensorSplit
from chimera_core.scoring.judge.features import QualityJudge

BENCHMARK = runpy.run_path(str(Path(__file__).resolve().parent.parent / "benchmarks" / "person_cat.py"))
SIZE = 8
PARENTS = ["person", "cat"]


class Colours(FeatureEncoder):
    """Sees the mean of each colour, of the whole image and of its upper half."""

    levels = ()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def feature_maps(self, x: Tensor, levels: object) -> list[Tensor]:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x[:, :, : x.shape[2] // 2].mean((2, 3))], 1)


def animals(kind: int, seeds: Sequence[int]) -> Tensor:
    """Persons are dark, cats bright; each seed has its own pattern."""
    patterns = [torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return F.interpolate(0.4 * torch.stack(patterns), size=SIZE) + 0.5 * kind


class Blend(FusionGenerator):
    """Mixes a seeded person and a seeded cat; ``way`` bends the weight, ``deaf`` forgets the seed."""

    accepts = frozenset({"class"})

    def __init__(self, way=lambda share: share, *, deaf: bool = False) -> None:
        super().__init__(None)
        self.way, self.deaf = way, deaf

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        assert [parent.class_name for parent in parents] == PARENTS and size == SIZE
        share = self.way(weights[1])
        kept = [0] * len(seeds) if self.deaf else list(seeds)
        return (1 - share) * animals(0, kept) + share * animals(1, kept)


def making(fuser: Blend):
    parents = [Parent(name, class_name=name) for name in PARENTS]
    return lambda weights, seeds: fuser.fuse(parents, weights, seeds=seeds, size=SIZE)


def judges() -> list[QualityJudge]:
    splits = [
        TensorSplit((animals(kind, range(1000, 1080)) * 255).byte(), torch.zeros(80, dtype=torch.int64))
        for kind in (0, 1)
    ]
    return [QualityJudge(Colours(), "colours", split, images=80, size=SIZE) for split in splits]


def measured(fuser: Blend) -> dict:
    found = BENCHMARK["measure"](making(fuser), judges(), pairs=12, images=40)
    return {"fuser": "blend", "parents": PARENTS, "size": SIZE, **found}


def test_an_even_way_takes_even_steps() -> None:
    found = measured(Blend())
    assert found["probe_accuracy"] == 1
    assert found["by_ends"]["steps"] == pytest.approx([0.1] * 10, abs=1e-3)
    assert found["by_ends"]["middle_share"] == found["by_ends"]["right_share"] == 1
    assert found["mean_place_by_classes"] == pytest.approx([k / 10 for k in range(11)], abs=0.1)
    assert all(abs(kid["mean"]) < 0.05 * kid["other"] for kid in found["kid"])
    assert "NOT MET" not in BENCHMARK["as_text"](found)
    assert "KID[colours] of cat" in BENCHMARK["as_text"](found)


def test_a_jump_is_seen_where_it_is() -> None:
    found = measured(Blend(lambda share: float(share > 0.55)))
    assert found["by_ends"]["steps"] == pytest.approx([0.0] * 5 + [1.0] + [0.0] * 4, abs=1e-3)
    assert found["by_ends"]["middle_share"] == 0
    assert BENCHMARK["as_text"](found).count("NOT MET") == 2


def test_a_fuser_the_wrong_way_round_is_seen() -> None:
    found = measured(Blend(lambda share: 1 - share))
    assert found["by_ends"]["right_share"] == 0
    assert all(kid["mean"] > 0.5 * kid["other"] for kid in found["kid"])


def test_noise_that_changes_nothing_is_seen() -> None:
    assert measured(Blend(deaf=True))["pixel_distance"] == pytest.approx(0, abs=1e-6)
    found = measured(Blend())
    assert found["pixel_distance"] == pytest.approx(found["pixel_distance_real"][0], rel=0.2)


def test_pixel_distance_is_what_a_hand_computes() -> None:
    images = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert BENCHMARK["pixel_distance"](images) == pytest.approx((0.5 + 1 + 0.5) / 3)


def test_the_command_prints_json_and_draws(
    settings_read_anew: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind, name in enumerate(PARENTS):
        folder = tmp_path / "data" / "train" / name
        folder.mkdir(parents=True)
        for seed, image in enumerate(animals(kind, range(500, 530))):
            Image.fromarray(np.uint8(255 * image.permute(1, 2, 0))).save(folder / f"{seed}.png")
    (tmp_path / "config.toml").write_text(
        f'[source]\nname = "folder"\noptions = {{ root = "{tmp_path / "data"}" }}\n'
    )
    names = BENCHMARK["main"].__globals__
    fusion = SimpleNamespace(make=making(Blend()), device=torch.device("cpu"))
    monkeypatch.setitem(names, "check_request", lambda parents, **options: None)
    monkeypatch.setitem(names, "Fusion", lambda plan: fusion)
    monkeypatch.setitem(names, "load_judge", lambda name, **options: Colours())
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    words = ["run", "--source", str(tmp_path / "config.toml"), "--pairs", "4", "--images", "20", "--json"]
    BENCHMARK["main"]([*words, "--judge", "colours", "-o", str(tmp_path / "out")])
    found = json.loads(capsys.readouterr().out)
    assert found["judge"] == "colours" and found["by_ends"]["right_share"] == 1
    assert found == json.loads((tmp_path / "out" / "person-cat.json").read_text())
    assert len(list((tmp_path / "cache").glob("**/index.json"))) == 1
    with Image.open(tmp_path / "out" / "sweeps.png") as sweeps:
        assert sweeps.width > 11 * SIZE and sweeps.height > 8 * SIZE
    assert (tmp_path / "out" / "creatures.png").is_file()
