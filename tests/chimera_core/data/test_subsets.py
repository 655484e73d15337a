from __future__ import annotations

import pytest
import torch

from chimera_core.data.batches import TensorSplit
from chimera_core.data.split_names import name_splits, split_to_test_on
from chimera_core.data.subsets import JoinedSplit, RelabelledSplit, hold_out, hold_out_plainly, of_domains
from chimera_core.errors import ConfigError


def split(labels: list[int], domains: list[int] | None = None) -> TensorSplit:
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return TensorSplit(images, torch.tensor(labels), torch.tensor(domains) if domains is not None else None)


def test_a_share_of_every_class_is_held_out_and_nothing_is_in_both() -> None:
    whole = split([0] * 50 + [1] * 10 + [2])
    rest, held = hold_out(whole, share=0.2, seed=0)
    assert torch.bincount(held.labels, minlength=3).tolist() == [10, 2, 0]
    assert sorted([*rest.origins.tolist(), *held.origins.tolist()]) == list(range(61))
    again = hold_out(whole, share=0.2, seed=0)[1]
    other = hold_out(whole, share=0.2, seed=1)[1]
    assert torch.equal(held.origins, again.origins) and not torch.equal(held.origins, other.origins)


def test_held_out_plainly_is_a_share_of_all_images_alike() -> None:
    whole = split([0] * 50 + [1] * 10 + [2])
    rest, held = hold_out_plainly(whole, share=0.2, seed=0)
    assert len(held) == 12 and sorted([*rest.origins.tolist(), *held.origins.tolist()]) == list(range(61))
    again, other = (hold_out_plainly(whole, share=0.2, seed=seed)[1] for seed in (0, 1))
    assert torch.equal(held.origins, again.origins) and not torch.equal(held.origins, other.origins)
    # Unlike a share of each class, it can take a class's only image.
    sides = {hold_out_plainly(whole, share=0.2, seed=seed)[1].labels.tolist().count(2) for seed in range(40)}
    assert sides == {0, 1}


def test_splits_joined_are_one_after_the_other() -> None:
    one, two = split([0, 1, 2], [0, 0, 1]), split([3, 4], [1, 0])
    both = JoinedSplit([one, two])
    assert (
        len(both) == 5
        and both.labels.tolist() == [0, 1, 2, 3, 4]
        and both.domains.tolist() == [0, 0, 1, 1, 0]
    )
    assert both.nbytes == one.nbytes + two.nbytes
    taken = both.take(torch.tensor([4, 0, 3, 2]))
    assert taken.dtype == torch.uint8 and taken[:, 0, 0, 0].tolist() == [1, 0, 0, 2]
    assert both.take(torch.tensor([], dtype=torch.int64)).shape == (0, 3, 2, 2)


def test_a_part_gives_the_images_of_the_whole() -> None:
    part = of_domains(split([0, 1, 0, 1], [0, 1, 2, 1]), ["b"], ["a", "b", "c"])
    assert len(part) == 2 and part.labels.tolist() == [1, 1] and part.domains.tolist() == [1, 1]
    assert part.take(torch.tensor([1]))[0, 0, 0, 0] == 3
    assert part.nbytes == 2 * 12


def test_images_whose_label_means_nothing_elsewhere_are_left_out() -> None:
    split = TensorSplit(torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1), torch.tensor([0, 1, 2, 1, 0]))
    found = RelabelledSplit(split, torch.tensor([7, -1, 3])[split.labels])
    assert found.labels.tolist() == [7, 3, 7] and found.origins.tolist() == [0, 2, 4]
    assert found.take(torch.tensor([1])).flatten().tolist() == [2]


def test_a_domain_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no domain 'd'"):
        of_domains(split([0]), ["d"], ["a"])
    with pytest.raises(ConfigError, match="domains b have no image"):
        of_domains(split([0]), ["b"], ["a", "b"])


@pytest.mark.parametrize(
    ("counts", "train", "val", "expected"),
    [
        ({"train": 5, "val": 2, "test": 3}, None, None, ("train", "val")),
        ({"train": 5, "valid": 2}, None, None, ("train", "valid")),
        ({"train": 5, "test": 3}, None, None, ("train", "test")),
        ({"train": 5, "val": 0, "test": 3}, None, None, ("train", "test")),
        ({"all": 5}, None, None, ("all", "held-out")),
        ({"train": 5, "val": 2}, None, "held-out", ("train", "held-out")),
        ({"id_val": 5, "train": 3}, None, "id_val", ("train", "id_val")),
        ({"train": 5, "val": 2}, "joined", None, ("joined", "held-out")),
        ({"joined": 5, "val": 2}, "joined", None, ("joined", "val")),
    ],
)
def test_splits_are_found_by_their_names(
    counts: dict[str, int], train: str | None, val: str | None, expected: tuple[str, str]
) -> None:
    assert name_splits(counts, train, val) == expected


def test_no_split_is_left_to_validate_on_when_all_are_joined() -> None:
    with pytest.raises(ConfigError, match="joined takes all splits: leave out --val-split val"):
        name_splits({"train": 5, "val": 5}, "joined", "val")


def test_where_no_name_says_it_the_user_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"say --train-split \(a, b\)"):
        name_splits({"a": 5, "b": 5}, None, None)


@pytest.mark.parametrize(
    ("counts", "named", "expected"),
    [
        ({"train": 5, "val": 2, "Test": 2}, None, "Test"),
        ({"train": 5, "val": 2, "test": 0}, None, "val"),
        ({"all": 5}, None, "all"),
        ({"train": 5, "test": 2}, "train", "train"),
    ],
)
def test_what_nothing_was_learned_from_is_measured_on_its_test_split(
    counts: dict[str, int], named: str | None, expected: str
) -> None:
    assert split_to_test_on(counts, named) == expected


def test_a_split_to_measure_on_must_be_there_and_be_clear() -> None:
    with pytest.raises(ConfigError, match=r"there is no split 'tset' with images \(did you mean 'test'"):
        split_to_test_on({"train": 5, "test": 5}, "tset")
    with pytest.raises(ConfigError, match=r"say --split \(a, b\)"):
        split_to_test_on({"a": 5, "b": 5})
