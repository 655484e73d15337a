"""What a judge sees of the reference: enough for every figure, and more where a distance needs more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.scoring import reference
from chimera_core.scoring.judge.judge import Judge
from chimera_core.scoring.reference import Reference
from chimera_core.scoring.set_card import _distances
from chimera_core.scoring.sets.frechet import FeatureStatistics, frechet_distance


class Coarse(FeatureEncoder):
    """Embeds an image as its 8 x 8 brightness: 64 features."""

    levels = ()
    looked: int = 0

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        self.looked += len(x)
        return F.adaptive_avg_pool2d(x.mean(1, keepdim=True), 8).flatten(1)


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_distance_takes_more_of_the_reference_than_everything_else_does(
    is_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "MOST_IMAGES", 110)
    monkeypatch.setattr(reference, "MOST_FOR_DISTANCES", 150)
    images = torch.randint(
        0, 256, (300, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    judge = Judge("coarse", Coarse(), side=16)
    cache = tmp_path if is_kept else None
    seen = Reference(images, size=16, seed=0).seen_by(judge, cache=cache)
    assert len(seen.plain) == 110 and seen.coats is None and seen.more is not None

    few = _distances("coarse", torch.rand(127, 64), seen)["FD[coarse]"]
    assert few.value is None and "fewer than 128" in str(few.reason)
    made = torch.rand(128, 64, generator=torch.Generator().manual_seed(1))
    found = _distances("coarse", made, seen)["FD[coarse]"]
    chosen = images[torch.linspace(0, 299, 150).round().long()]
    wanted = frechet_distance(
        FeatureStatistics(made), FeatureStatistics(judge.features(chosen)), extractor="coarse"
    )
    assert found.value == pytest.approx(wanted.value, rel=1e-6) and wanted.m == 150
    assert seen.more() is seen.more()
    if is_kept:
        looked = judge.encoder.looked
        again = Reference(images, size=16, seed=0).seen_by(judge, cache=cache).more
        assert again is not None and torch.equal(again(), seen.more()) and judge.encoder.looked == looked


def test_a_small_reference_has_no_more() -> None:
    images = torch.rand(120, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert Reference(images, size=16, seed=0).seen_by(Judge("coarse", Coarse(), side=16)).more is None
