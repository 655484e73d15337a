"""Options of the ``mixture`` source. Torch-free."""

from __future__ import annotations

from typing import ClassVar, Literal

from chimera_core.api import Config, option
from chimera_mixture.members import Member

Frame = Literal["none", "eyes"]


class MixtureConfig(Config):
    """What is mixed, how it is framed, and in which shares it is drawn."""

    NOT_PACKED: ClassVar[frozenset[str]] = frozenset({"balance"})
    """Options that change no image: the packed cache leaves them out of its key."""

    members: tuple[Member, ...] = option(
        ...,
        help="a class and the source of its images, as person=celeba,root=DIR,crop=178; give two or more",
        flag="member",
    )
    frame: Frame = option(
        "none", help="eyes: cut every image so that the eyes of all members lie in one place"
    )
    balance: str = option(
        "natural", help="shares in training: natural (as the files are), equal, or person=0.7,dog=0.3"
    )
