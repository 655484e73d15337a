"""Tests of the source: first the laws that all sources keep, then what this one holds."""

from chimera_core.testing import Law, check_source, parametrize_with_laws

from chimera_shapes.plugin import ShapesConfig
from chimera_shapes.source import Shapes


@parametrize_with_laws(check_source(lambda: Shapes(ShapesConfig())))
def test_it_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


def test_images_have_the_side_that_was_asked_for() -> None:
    split = Shapes(ShapesConfig(images=3, side=40)).open("train")
    assert [example.image.shape for example in split] == [(3, 40, 40)] * 3


def test_half_of_the_images_are_discs_before_a_light_ground_or_a_dark_one() -> None:
    split = Shapes(ShapesConfig(images=8)).open("test")
    assert list(split.labels) == [0, 1] * 4
    grounds = {example.domain: int(example.image[0, 0, 0]) for example in split}
    assert grounds == {0: 160, 1: 20}
