import pytest
from chimera_average.fuser import Average
from chimera_average.plugin import AverageConfig

from chimera_core.api import parent_pixels
from chimera_core.testing import check_fuser, draw_parents, make, parametrize_with_laws


@parametrize_with_laws(check_fuser(lambda: Average(AverageConfig())))
def test_it_keeps_the_laws_of_a_fuser(law):
    law()


@pytest.mark.parametrize("gamma", [0.1, 0.8, 2, 4])
def test_weight_one_gives_that_parent_whatever_the_gamma(gamma):
    parents = draw_parents(2)
    made = make(Average(AverageConfig(gamma=gamma)), parents, [1, 0], size=48)[0]
    assert (made - parent_pixels(parents[0], 48)).abs().max() < 1e-5
