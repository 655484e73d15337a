"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_persondog.config import FlickrDogConfig, LhiConfig, PersonDogConfig

CHIMERA_API = 1
FLICKR_DOG_LICENCE = "Creative Commons photographs from Flickr; each photographer's own terms"
FLICKR_DOG_PAGE = "http://www.recod.ic.unicamp.br/~rwerneck/datasets/flickr-dog/"
LHI_LICENCE = "unknown; published for research"
LHI_PAGE = "https://vcla.stat.ucla.edu/people/zhangzhang-si/HiT/exp5.html"


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``persondog``, ``flickr-dog`` and ``lhi-animal-faces``."""
    return [
        ComponentSpec(
            name="persondog",
            summary="faces of persons (CelebA) and dogs (Flickr-Dog, LHI-Animal-Faces), in shares of your choice",
            target="chimera_persondog.persondog:PersonDogSource",
            config=PersonDogConfig,
            licence="those of CelebA, Flickr-Dog and LHI-Animal-Faces",
            check=CheckSetup(prepare="chimera_persondog.checking:prepare"),
        ),
        ComponentSpec(
            name="flickr-dog",
            summary="374 faces of 42 dogs, pugs and huskies; got by hand",
            target="chimera_persondog.flickr_dog:FlickrDogSource",
            config=FlickrDogConfig,
            licence=FLICKR_DOG_LICENCE,
            home_page=FLICKR_DOG_PAGE,
            check=CheckSetup(prepare="chimera_persondog.checking:prepare"),
        ),
        ComponentSpec(
            name="lhi-animal-faces",
            summary="faces of 19 animals and humans, about 100 each; got by hand",
            target="chimera_persondog.lhi:LhiSource",
            config=LhiConfig,
            licence=LHI_LICENCE,
            home_page=LHI_PAGE,
            check=CheckSetup(prepare="chimera_persondog.checking:prepare"),
        ),
    ]
