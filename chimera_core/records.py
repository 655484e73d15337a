"""Small frozen records that cross the borders between core, plugins and command line. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import Tensor


class Example(NamedTuple):
    """One image of a source.

    ``image`` is uint8 RGB (3, H, W); ``label`` and ``domain`` index ``SourceInfo.classes`` and ``.domains``.
    """

    image: Tensor
    label: int
    domain: int = 0


@dataclass(frozen=True)
class SourceInfo:
    """What a source holds, as ``chimera source info`` prints it.

    ``splits`` maps a split's name to its number of images. ``unreadable`` lists files that are left out,
    each with its reason. ``notes`` are sentences for the user (what layout was recognised, say).
    ``eyes`` are (left x, left y, right x, right y) in pixels, for a source whose images all have the eyes there.
    ``shares`` are the shares of the classes in training (sum 1), for a source that wants others than its files have.
    ``left_out`` counts images that no split has, by why: ``{"at another depth": 12}``.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    domains: tuple[str, ...] = ()
    licence: str = "unknown"
    home_page: str = ""
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    eyes: tuple[float, float, float, float] | None = None
    shares: Mapping[str, float] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Level:
    """One depth of an encoder at which feature maps can be read: C ``channels``, one cell per ``stride`` pixels."""

    name: str
    channels: int
    stride: int


@dataclass(frozen=True, eq=False)
class Parent:
    """One animal that goes into a chimera: a photograph or the name of a class.

    ``image`` is float32 RGB (3, H, W) in [0, 1], or None for a class. ``mask`` is float32 (1, H, W) in [0, 1],
    1 where the animal is; None asks the fuser to find the animal itself. ``class_name`` is None for a
    photograph. ``name`` is what captions and messages say. ``is_cutout`` is set for a picture with transparency of its
    own: ``mask`` is then its alpha, and there are no surroundings. Parents compare by identity, so that a fuser may
    keep what it computed for one (``eq=False``).
    """

    name: str
    image: Tensor | None = None
    mask: Tensor | None = None
    class_name: str | None = None
    is_cutout: bool = False


@dataclass(frozen=True)
class Preset:
    """A named set of a component's options.

    ``training`` are options of the training (``chimera fuser train``) that belong to it, such as batch and size; a file
    and the command line go before them.
    """

    name: str
    summary: str
    options: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckSetup:
    """How ``chimera plugins check --deep`` tries a component out, where its defaults are not enough.

    Args:
        options: small and quick ones.
        prepare: ``"package.module:function"``, called with an empty folder: it writes data or weights there, and gives
            further options, such as ``{"root": ...}``.
        parents: of a fuser of photographs that drawn ones do not suit: files, or names of pictures, such as ``cat``.
        size: side in pixels of what it is tried on; 0: the check's own.
        expected_failures: by a law's name, why the component does not keep it.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    prepare: str = ""
    parents: tuple[str, ...] = ()
    size: int = 0
    expected_failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ComponentSpec:
    """What a plugin says about one component, before anything heavy is imported.

    Args:
        name: kebab-case name that users type.
        summary: one line for listings.
        target: ``"package.module:Class"``, imported on first use.
        config: frozen pydantic model of the component's options, from a torch-free module.
        presets: named sets of options.
        extra: the extra of the plugin's distribution that brings what the component needs beyond the plugin.
        requires: import names (top level) that this extra brings. While one is missing, the component is
            listed as needs-extra with the command that installs it.
        licence: of a source's data, known before any of it is here.
        home_page: where to read about it, or get the data.
        check: how it is tried out.
        is_control: of a fuser: it is a trivial method that others must beat, and comparisons mark it so.
        suffixes: of an image reader: endings of its files, in lower case with the dot (``".qoi"``).
    """

    name: str
    summary: str
    target: str
    config: type[BaseModel]
    presets: tuple[Preset, ...] = field(default=())
    extra: str = ""
    requires: tuple[str, ...] = ()
    licence: str = ""
    home_page: str = ""
    check: CheckSetup = field(default=CheckSetup())
    is_control: bool = False
    suffixes: tuple[str, ...] = ()
