"""Tests of the metric: first the laws that all metrics keep, then what this one measures."""

import torch
from chimera_core.testing import Law, check_metric, parametrize_with_laws

from chimera_vivid.metric import Vivid
from chimera_vivid.plugin import VividConfig


@parametrize_with_laws(check_metric(lambda: Vivid(VividConfig())))
def test_it_keeps_the_laws_of_a_metric(law: Law) -> None:
    law()


def test_a_copy_keeps_all_and_a_flat_picture_nothing() -> None:
    parents = [torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)]
    creatures = torch.cat([parents[0], torch.full((1, 3, 16, 16), 0.5)])
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    values = Vivid(VividConfig()).measure(creatures, parents, weights)
    torch.testing.assert_close(values, torch.tensor([1.0, 0.0]))


def test_of_flat_parents_no_share_is_given() -> None:
    grey = torch.full((1, 3, 16, 16), 0.5)
    value = Vivid(VividConfig()).measure(torch.rand(1, 3, 16, 16), [grey, grey], torch.full((1, 2), 0.5))
    assert value.isnan().all()
