from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_core.data.batches import TensorSplit, TrainingBatches, evaluation_batches
from chimera_core.data.order import epoch_order, equal_shares, shared_order
from chimera_core.errors import ConfigError


def split_of(count: int, classes: int = 3) -> TensorSplit:
    images = torch.arange(count).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).to(torch.uint8)
    return TensorSplit(images, torch.arange(count) % classes)


def test_an_epoch_sees_every_example_once_in_another_order_each_time() -> None:
    first, second = (epoch_order(100, seed=0, epoch=e) for e in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(100))
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_order(100, seed=0, epoch=0))
    assert not torch.equal(first, epoch_order(100, seed=1, epoch=0))


@given(
    st.lists(st.integers(0, 3), min_size=4, max_size=200),
    st.integers(0, 10),
    st.lists(st.floats(0.01, 1), min_size=4),
)
@settings(max_examples=60, deadline=None)
def test_shares_are_kept_to_the_image_and_no_image_is_favoured(
    groups: list[int], seed: int, raw: list[float]
) -> None:
    present = sorted(set(groups))
    total = sum(raw[g] for g in present)
    shares = {g: raw[g] / total for g in present}
    order = shared_order(groups, shares, seed=seed, epoch=0)
    assert len(order) == len(groups)
    drawn = torch.as_tensor(groups)[order]
    for group in present:
        assert abs(int((drawn == group).sum()) - shares[group] * len(groups)) < 1
        times = torch.bincount(order[drawn == group], minlength=len(groups))[torch.as_tensor(groups) == group]
        assert times.max() - times.min() <= 1


def test_balanced_training_has_half_dogs_though_they_are_one_in_two_hundred() -> None:
    labels = torch.tensor([0] * 9_950 + [1] * 50)
    shares = equal_shares(labels.tolist())
    order = shared_order(labels.tolist(), shares, seed=0, epoch=0)
    assert labels[order].float().mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("shares", "message"),
    [({0: 0.5, 9: 0.5}, "no image"), ({0: 0.5, 1: 0.6}, "sum to 1"), ({0: -1, 1: 2}, "0 or more")],
)
def test_wrong_shares_are_one_clear_line(shares: dict[int, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shared_order([0, 1, 1], shares, seed=0, epoch=0)
    with pytest.raises(ConfigError, match=message):
        TrainingBatches(split_of(12, 2), batch=2, seed=0, sampling=shares)


@given(st.sampled_from([1, 2, 3, 7]), st.integers(42, 200), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_ranks_deal_out_the_order_of_one_process(world: int, count: int, seed: int) -> None:
    split, batch = split_of(count), 42
    alone = TrainingBatches(split, batch=batch, seed=seed)
    ranks = [TrainingBatches(split, batch=batch, seed=seed, rank=r, world_size=world) for r in range(world)]
    for step in range(2 * alone.steps_per_epoch + 1):
        whole = alone.indices(step)[1]
        dealt = [rank.indices(step)[1] for rank in ranks]
        assert all(len(part) == batch // world for part in dealt)
        assert torch.equal(torch.stack(dealt, 1).flatten(), whole)


@given(st.sampled_from([1, 2, 3, 7]), st.integers(1, 100), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_evaluation_sees_every_image_exactly_once(world: int, count: int, batch: int) -> None:
    seen = [
        int(index)
        for rank in range(world)
        for part in evaluation_batches(split_of(count), batch=batch, rank=rank, world_size=world)
        for index in part.indices
    ]
    assert sorted(seen) == list(range(count))


def test_batches_carry_the_images_of_their_indices() -> None:
    batches = TrainingBatches(split_of(50), batch=8, seed=3)
    stream = batches.from_step(2)
    for step in (2, 3, 4, 5, 6, 7):
        batch, again = next(stream), batches.at(step)
        assert torch.equal(batch.indices, again.indices) and batch.epoch == again.epoch == step // 6
        assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.indices)
        assert torch.equal(batch.labels, batch.indices % 3)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.pixels().dtype == torch.float32 and batch.pixels().max() <= 1


def test_batches_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than there are"):
        TrainingBatches(split_of(10), batch=11, seed=0)
    with pytest.raises(ConfigError, match="dealt out to 3"):
        TrainingBatches(split_of(20), batch=8, seed=0, world_size=3)
