"""A judge's features: one size, one filter, no trace left in the encoder; and quality measured by them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import DataError, FeatureEncoder, ShapeError
from chimera_core.data.batches import TensorSplit
from chimera_core.scoring.judge.features import QualityJudge, at_size, judge_features, split_batches


class Means(FeatureEncoder):
    """Embeds an image as the mean and the spread of each colour; remembers what it was shown."""

    levels = ()

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def feature_maps(self, x: Tensor, levels: object) -> list[Tensor]:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        assert not self.training
        self.seen.append(tuple(x.shape))
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)


def pictures(n: int, *, size: int = 16, seed: int = 0, dark: float = 0.0) -> Tensor:
    """Smooth noise, float (n, 3, size, size)."""
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * (1 - dark)
    return F.interpolate(coarse, size=(size, size), mode="bilinear")


def split_of(images: Tensor) -> TensorSplit:
    return TensorSplit((images * 255).round().byte(), torch.zeros(len(images), dtype=torch.int64))


def test_uint8_and_float_batches_and_tensors_give_the_same_features() -> None:
    bytes_ = (pictures(150) * 255).round().byte()
    judge = Means()
    whole = judge_features(judge, bytes_, size=8)
    assert whole.shape == (150, 6) and whole.dtype == torch.float32
    assert max(shape[0] for shape in judge.seen) == 64  # of a tensor, no more at a time
    assert torch.allclose(judge_features(judge, bytes_.float() / 255, size=8), whole, atol=1e-6)
    assert torch.allclose(judge_features(judge, iter(bytes_.split(7)), size=8), whole, atol=1e-6)


def test_the_encoder_looks_in_evaluation_mode_and_is_left_as_it_was() -> None:
    judge = Means().train()
    found = judge_features(judge, pictures(2).requires_grad_(), size=8)
    assert judge.training and not found.requires_grad
    with pytest.raises(ShapeError):
        judge_features(judge, [pictures(2)[:, :1]], size=8)
    assert judge.training


def test_every_image_reaches_the_judge_at_one_size() -> None:
    judge = Means()
    judge_features(judge, [pictures(2, size=5), pictures(1, size=40)], size=16)
    assert judge.seen == [(2, 3, 16, 16), (1, 3, 16, 16)]


def test_shrinking_is_antialiased_and_stays_in_range() -> None:
    # Columns that alternate from black to white: without antialiasing a half or a quarter would stay striped.
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)
    small = at_size(stripes, 16)
    assert small[..., 2:-2].sub(0.5).abs().max() < 0.02
    edge = at_size((torch.arange(8) > 3).float().expand(1, 3, 8, 8), 32)
    assert edge.min() == 0 and edge.max() == 1  # bicubic overshoots; it is clamped
    same = pictures(1)
    assert torch.equal(at_size(same, 16), same)


def test_images_are_spread_over_the_split() -> None:
    images = torch.arange(100, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    split = TensorSplit(images, torch.zeros(100, dtype=torch.int64))
    taken = torch.cat(list(split_batches(split, images=12)))[:, 0, 0, 0].tolist()
    assert taken == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]
    assert len(torch.cat(list(split_batches(split, images=500)))) == 100


def test_real_images_are_embedded_once_and_only_when_needed() -> None:
    encoder = Means()
    judge = QualityJudge(encoder, "means", split_of(pictures(40)), images=30, size=8, subset_size=20)
    assert encoder.seen == []
    judge.measure(pictures(25, seed=1))
    judge.measure(pictures(25, seed=2))
    assert sum(shape[0] for shape in encoder.seen) == 30 + 2 * 25


def test_quality_falls_with_the_distance_from_the_real_images() -> None:
    judge = QualityJudge(Means(), "means", split_of(pictures(200)), images=200, size=16, subset_size=100)
    near, far, further = (judge.measure(pictures(150, seed=1, dark=dark)) for dark in (0.0, 0.3, 0.6))
    assert set(near) == {"kid", "kid_std"}
    assert abs(near["kid"]) < 2 * near["kid_std"] + 1e-4
    assert near["kid"] < far["kid"] < further["kid"]
    assert judge.measure(pictures(150, seed=1)) == near


def test_the_distance_carries_the_judges_name_and_its_counts() -> None:
    judge = QualityJudge(Means(), "means", split_of(pictures(40)), images=30, size=8, subsets=3)
    found = judge.distance(judge.features(pictures(25, seed=1)))
    assert (found.name, found.subsets, found.subset_size) == ("KID[means]", 3, 25)


@pytest.mark.parametrize(
    ("images", "error"),
    [(torch.rand(0, 3, 8, 8), DataError), ([], DataError), (torch.rand(3, 8, 8), ShapeError)],
)
def test_no_images_are_refused(images: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        judge_features(Means(), images, size=8)  # type: ignore[arg-type]
