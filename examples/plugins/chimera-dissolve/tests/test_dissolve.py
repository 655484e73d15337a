"""Tests of the fuser: first the laws that all fusers keep, then what this one does."""

import torch
from chimera_core.testing import Law, check_fuser, draw_parents, make, parametrize_with_laws

from chimera_dissolve.fuser import Dissolve
from chimera_dissolve.plugin import DissolveConfig


@parametrize_with_laws(check_fuser(lambda: Dissolve(DissolveConfig())))
def test_it_keeps_the_laws_of_a_fuser(law: Law) -> None:
    law()


def test_each_cell_shows_one_parent() -> None:
    fuser = Dissolve(DissolveConfig(cells=4, edges="hard"))
    parents = draw_parents(2)
    made, first, second = (
        make(fuser, parents, weights, seeds=[3], size=64) for weights in ((0.5, 0.5), (1.0, 0.0), (0.0, 1.0))
    )
    from_first = (made == first).all(1)
    from_second = (made == second).all(1)
    assert (from_first | from_second).all()
    assert 0.1 < float(from_first.float().mean()) < 0.9


def test_another_seed_draws_other_cells() -> None:
    made = make(Dissolve(DissolveConfig()), seeds=[0, 1])
    assert not torch.equal(made[0], made[1])
