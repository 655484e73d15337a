"""For the tests of plugins: the laws of components as checks, pictures and data sets to try them on, training and making.

Names resolve on first use, so importing this costs nothing, and pytest is needed by ``parametrize_with_laws`` alone::

    from chimera_core.testing import check_fuser, parametrize_with_laws

    @parametrize_with_laws(check_fuser(lambda: Dissolve(DissolveConfig())))
    def test_it_keeps_the_laws_of_a_fuser(law):
        law()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chimera_core.lazy_names import import_name

if TYPE_CHECKING:
    from chimera_core.laws import Law, LawBroken
    from chimera_core.testing.encoders import SmallEncoder
    from chimera_core.testing.fixtures.celeba import write_celeba
    from chimera_core.testing.fixtures.flickr_dog import write_flickr_dog
    from chimera_core.testing.fixtures.inaturalist import write_inaturalist
    from chimera_core.testing.fixtures.iwildcam import write_iwildcam
    from chimera_core.testing.fixtures.lhi import write_lhi
    from chimera_core.testing.fixtures.mnist import write_mnist
    from chimera_core.testing.fixtures.shapes import draw_shape, write_shapes
    from chimera_core.testing.in_process import load, make, train_encoder, train_fuser
    from chimera_core.testing.laws.additions import check_attack, check_augmentation, check_metric
    from chimera_core.testing.laws.component import check_component
    from chimera_core.testing.laws.encoder import check_encoder
    from chimera_core.testing.laws.fuser import check_fuser
    from chimera_core.testing.laws.learner import check_learner
    from chimera_core.testing.laws.reader import check_reader
    from chimera_core.testing.laws.source import check_source
    from chimera_core.testing.laws.trainer import check_trainer
    from chimera_core.testing.parametrize import parametrize_with_laws
    from chimera_core.testing.pictures import draw_parents, draw_photograph, read_parents
    from chimera_core.testing.training_data import draw_fuser_data, draw_images

__all__ = [
    "Law",
    "LawBroken",
    "SmallEncoder",
    "check_attack",
    "check_augmentation",
    "check_component",
    "check_encoder",
    "check_fuser",
    "check_learner",
    "check_metric",
    "check_reader",
    "check_source",
    "check_trainer",
    "draw_fuser_data",
    "draw_images",
    "draw_parents",
    "draw_photograph",
    "draw_shape",
    "load",
    "make",
    "parametrize_with_laws",
    "read_parents",
    "train_encoder",
    "train_fuser",
    "write_celeba",
    "write_flickr_dog",
    "write_inaturalist",
    "write_iwildcam",
    "write_lhi",
    "write_mnist",
    "write_shapes",
]


def __getattr__(name: str) -> Any:
    return import_name(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
