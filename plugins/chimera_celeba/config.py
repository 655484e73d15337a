"""Options of the ``celeba`` source. Torch-free."""

from __future__ import annotations

from chimera_core.api import Config, option


class CelebaConfig(Config):
    """Where the faces lie, what is cut out of them, and what they are called."""

    root: str = option(
        "",
        help="the folder that holds celeba/img_align_celeba, as torchvision lays it out; empty: celeba among the assets",
    )
    crop: str = option(
        "108",
        help="side of a centred square in pixels, or left,top,right,bottom; 108 cuts CelebA's 178 x 218 to the face; "
        "empty: the whole image",
    )
    label: str = option("", help="an attribute that splits the faces into two classes, such as Smiling")
    eyes: str = option(
        "auto",
        help="where the eyes are in the uncropped images: left x,left y,right x,right y; auto: CelebA's own, in "
        "images of 178 x 218; none: not in one place",
    )
