from __future__ import annotations

import pytest
import torch

from chimera_core.data.batches import TensorSplit
from chimera_core.data.subsets import hold_out, name_splits, of_domains
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


def test_a_part_gives_the_images_of_the_whole() -> None:
    part = of_domains(split([0, 1, 0, 1], [0, 1, 2, 1]), ["b"], ["a", "b", "c"])
    assert len(part) == 2 and part.labels.tolist() == [1, 1] and part.domains.tolist() == [1, 1]
    assert part.take(torch.tensor([1]))[0, 0, 0, 0] == 3
    assert part.nbytes == 2 * 12


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
    ],
)
def test_splits_are_found_by_their_names(
    counts: dict[str, int], train: str | None, val: str | None, expected: tuple[str, str]
) -> None:
    assert name_splits(counts, train, val) == expected


def test_where_no_name_says_it_the_user_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"say --train-split \(a, b\)"):
        name_splits({"a": 5, "b": 5}, None, None)
