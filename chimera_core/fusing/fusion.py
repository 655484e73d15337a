"""From a checked request to chimeras: what ``chimera fuse`` and ``chimera_core.fuse`` do.

``request`` checks everything that can be checked without torch; ``Fusion`` then holds the loaded fuser and
parents and makes as many chimeras as are asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.downloads.assets import no_downloads
from chimera_core.errors import ConfigError, PluginError
from chimera_core.files.atomic import refuse_inputs
from chimera_core.fusing.backgrounds import set_background
from chimera_core.fusing.incoming import take_in
from chimera_core.fusing.parents import ParentReader, PhotographKey
from chimera_core.fusing.provenance import provenance
from chimera_core.fusing.request import FusionRequest, check_limits, check_request, untrained
from chimera_core.library.fetching import fetch_into_library
from chimera_core.library.lookup import NamedPicture
from chimera_core.library.visibility_cache import VisibilityCache
from chimera_core.plugins.discovery import default_host
from chimera_core.records import Parent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from chimera_core.fusing.incoming import ParentLike
    from chimera_core.interfaces.components import FusionGenerator

_log = logging.getLogger(__name__)


class Fusion:
    """A loaded fuser with its parents. ``make`` may be called with many weights and seeds.

    Args:
        fuser: loaded before, for a request that differs in its parents alone; None: it is loaded.
        photographs: read before, for requests that share them; see ``ParentReader``.
    """

    def __init__(
        self,
        request: FusionRequest,
        *,
        fuser: FusionGenerator | None = None,
        photographs: MutableMapping[PhotographKey, Parent] | None = None,
    ) -> None:
        from chimera_core.devices import select_device

        self.request = request
        self.device = select_device(request.device)
        with self._downloads():
            self.fuser = request.fuser.load(device=self.device) if fuser is None else fuser
        if request.fuser.trained is None:
            if self.fuser.needs_training:
                raise untrained(request.fuser.component)
            accepts, most = self.fuser.accepts, self.fuser.max_parents
            check_limits(request.fuser.label, request.parents, accepts=accepts, most=most)
        self._parents = ParentReader(request, accepts=self.fuser.accepts, kept=photographs)

    def make(
        self,
        weights: Sequence[float],
        seeds: Sequence[int],
        *,
        progress: Callable[[float, float], None] | None = None,
        opacity: bool = False,
    ) -> Tensor:
        """Make one chimera per seed.

        Args:
            weights: one per parent, sum 1 (``check_weights``).
            seeds: image k depends on ``seeds[k]`` alone.
            progress: called with (done, total) while it works, and once, at its end, with done = total.
            opacity: keep a cut-out's fourth channel; else it is laid over white.
        Returns:
            float32 (len(seeds), 3, H, W) in [0, 1], or (len(seeds), 4, H, W), on the CPU.
        Raises:
            PluginError: if the fuser breaks its contract.
        """
        import torch

        from chimera_core.images.pixels import over_white

        # Parents that depend on the seed come one by one.
        pieces = [[seed] for seed in seeds] if self._parents.depend_on_seed else [list(seeds)]
        drawn: list[Tensor] = []
        with self._downloads():
            for piece in pieces:
                if progress is not None:
                    self.fuser.progress = _part_of(progress, len(drawn), len(pieces))
                parents = self.parents(piece[0])
                drawn.append(self.fuser.fuse(parents, weights, seeds=piece, size=self.request.size))
        made = drawn[0] if len(drawn) == 1 else torch.cat(drawn)
        check_made(made, len(seeds), self.request.fuser.label, size=self.request.size)
        made = set_background(
            made,
            self.parents(seeds[0])[0],
            self.request.background,
            keeps_outline=self.fuser.keeps_outline,
            device=self.device,
            remark=self.fuser.remark,
        )
        if progress is not None:
            progress(1, 1)
        return made if opacity else over_white(made)

    def _downloads(self) -> AbstractContextManager[None]:
        """Let the fuser bring what it asks for, or not."""
        return no_downloads("" if self.request.may_download else str(self.request.fuser.trained))

    @property
    def fuser_name(self) -> str:
        """The fuser that works: the one asked for, or the one that it chose for these parents."""
        return self.fuser.stand_in or self.request.fuser.label

    def findings(self, seed: int) -> list[dict[str, Any]]:
        """Give what the fuser saw in each parent, in plain values."""
        return [dict(finding) for finding in self.fuser.findings(self.parents(seed))]

    def parents(self, seed: int) -> list[Parent]:
        """Give the parents; where the fuser wants images, a class name becomes one of that class, drawn by ``seed``."""
        return self._parents.of(seed)

    def text(self, weights: Sequence[float], seed: int) -> dict[str, str]:
        """Give what is written into the PNG of one creature."""
        return provenance(self.request, self.fuser_name, weights, seed)


def _part_of(
    progress: Callable[[float, float], None], index: int, count: int
) -> Callable[[float, float], None]:
    """Report a fuser's progress as that of one piece of several; its own end is not yet that of the whole."""

    def report(done: float, total: float) -> None:
        if total > 0:
            progress(min((index + done / total) / count, 0.99), 1)

    return report


def check_made(made: Any, count: int, name: str, *, size: int | None = None) -> None:
    """Refuse a result that is no pictures.

    Args:
        made: what a fuser gave.
        count: how many seeds it was given.
        name: of the fuser.
        size: shorter side that was asked for; None: any.
    Raises:
        PluginError: if it has another shape, NaN or infinite pixel values, or values far from [0, 1].
    """
    import torch

    from chimera_core.interfaces.guards import check_pixels

    if (
        not isinstance(made, torch.Tensor)
        or made.ndim != 4
        or (made.shape[0], made.shape[1] in (3, 4)) != (count, True)
    ):
        met = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
        raise PluginError(f"fuser {name} gave {met} instead of ({count}, 3, H, W): mend the plugin")
    check_pixels(made, f"fuser {name}")
    if size is not None and min(made.shape[-2:]) != size:
        raise PluginError(
            f"fuser {name} gave {tuple(made.shape)}, whose shorter side is not the {size} pixels asked for: mend the plugin"
        )


@dataclass(frozen=True)
class FusionResult:
    """What ``chimera_core.fuse`` gives back: images float32 (n, 3, H, W) in [0, 1], and how they were made."""

    images: Tensor
    request: FusionRequest = field(repr=False)
    """What was asked for; ``save`` replaces none of the files that it names."""
    fuser: str
    device: str
    wall_s: float
    texts: tuple[Mapping[str, str], ...] = field(repr=False, default=())
    opacity: Tensor | None = field(repr=False, default=None)
    """float32 (n, 1, H, W) in [0, 1] of creatures that are cut-outs; ``images`` then have any colour where it is 0."""

    @property
    def parents(self) -> tuple[str, ...]:
        """The parents as they were named."""
        return self.request.named

    @property
    def weights(self) -> tuple[float, ...]:
        """One for each parent, sum 1."""
        return self.request.weights[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """One for each image."""
        return self.request.seeds

    @property
    def pictures(self) -> tuple[NamedPicture, ...]:
        """What stands for the parents that were given by name, with licence and attribution."""
        return tuple(p for p in self.request.pictures if p is not None)

    def save(self, path: str | Path, index: int = 0, *, quality: int | None = None) -> Path:
        """Write one image in the format of the path's ending (PNG, JPEG, WebP, TIFF), with its origin inside.

        A JPEG keeps no opacity: a creature that is a cut-out is laid on white.

        Args:
            path: the file; an older one is replaced.
            index: which image.
            quality: 1 to 100, of JPEG and WebP.
        Raises:
            ConfigError: if the path cannot be written, or is one of the files that the images are made from.
        """
        from chimera_core.images import check_output, write_picture
        from chimera_core.images.formats import STILL_SUFFIXES

        checked = check_output(path, STILL_SUFFIXES)
        refuse_inputs([checked], self.request.inputs())
        write_picture(checked, self._pixels(index), text=self.texts[index], quality=quality)
        return checked

    def numpy(self) -> NDArray[np.uint8]:
        """Give all images as uint8 (n, H, W, 3), or (n, H, W, 4) where they have opacity."""
        import numpy as np

        return np.stack([self._pixels(k) for k in range(len(self.images))])

    def pil(self, index: int = 0) -> Image.Image:
        """Give one image as a PIL image, RGB or RGBA."""
        from PIL import Image

        return Image.fromarray(self._pixels(index))

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        from chimera_core.images.pixels import to_uint8

        image = self.images[index]
        if self.opacity is not None:
            import torch

            image = torch.cat([image, self.opacity[index]])
        return to_uint8(image)

    def _repr_png_(self) -> bytes:
        """Show one image in a notebook as it is, several side by side."""
        from chimera_core.images.formats import PNG, encode_picture, on_white
        from chimera_core.images.sheet import grid

        shown = [self._pixels(k) for k in range(len(self.images))]
        if len(shown) == 1:
            return encode_picture(shown[0], PNG, text=self.texts[0] if self.texts else None)
        return encode_picture(grid([[on_white(image) for image in shown]], pad=4), PNG)

    def _repr_html_(self) -> str:
        """Show the images in a notebook, with what they are made of and by which seed."""
        from base64 import b64encode
        from html import escape

        from chimera_core.images.formats import PNG, encode_picture

        parts = [f"{w:.0%} {Path(p).name}" for w, p in zip(self.weights, self.parents, strict=True)]
        made = escape(f"{self.fuser}: {' + '.join(parts)}")
        figures = []
        for k, seed in enumerate(self.seeds):
            data = b64encode(encode_picture(self._pixels(k), PNG)).decode("ascii")
            figures.append(
                f'<figure style="display:inline-block;margin:4px"><img alt="{made}" src="data:image/png;base64,{data}">'
                f"<figcaption>seed {seed}</figcaption></figure>"
            )
        return f"<div>{''.join(figures)}<div>{made}</div></div>"


def fuse(
    parents: Sequence[ParentLike],
    weights: Sequence[float] | None = None,
    *,
    fuser: str | None = None,
    preset: str | None = None,
    n: int = 1,
    seed: int = 0,
    size: int | None = None,
    device: str = "auto",
    masks: Sequence[str | Path] = (),
    source: str | None = None,
    source_options: Mapping[str, Any] | None = None,
    fetch: bool = False,
    background: str = "keep",
    progress: Callable[[float, float], None] | None = None,
    **options: Any,
) -> FusionResult:
    """Make chimeras; the Python face of ``chimera fuse``.

    Args:
        parents: image files, classes that the fuser knows, names of pictures in the library or a collection or,
            with ``source``, classes of it; two or more. Also addresses of http and https, at most 64 MB; PIL images;
            numpy arrays (H, W), (H, W, 3) or (H, W, 4) and tensors (3, H, W) or (4, H, W), uint8 or float in [0, 1],
            the fourth channel being opacity. Of pictures in memory 8 bits a channel count.
        weights: how much of each; equal shares when None. Another sum than 1 is scaled to it, with a line in the log.
        fuser: a run, an exported file, a model or a component. None: the first model that knows all the names,
            or, for photographs, ``auto``, which goes by what they hold.
        preset: a preset of the fuser.
        n: how many, from seeds ``seed``, ``seed + 1``, ...
        seed: first seed.
        size: shorter side in pixels; None: 256, or the size that a trained fuser makes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        masks: per parent an image file (white = animal), ``auto`` or ``none``.
        source: data set in which class names find their images.
        source_options: its options.
        fetch: fetch pictures of names that are found nowhere, from iNaturalist into the library.
        background: ``keep`` (the first parent's; a cut-out has none), ``white`` or ``transparent``.
        progress: called with (done, total).
        options: the fuser's options, e.g. ``iterations=100``.
    Raises:
        ChimeraError: one line that says what is wrong and how to mend it.
    """
    if n < 1:
        raise ConfigError(f"n must be 1 or more, but it is {n}")
    start = time.perf_counter()
    with take_in(parents, remark=_log.info) as incoming:
        request = check_request(
            incoming.names,
            [] if weights is None else [weights],
            seed=seed,
            count=n,
            size=size,
            fuser=fuser,
            preset=preset,
            options=options,
            masks=masks,
            source=source,
            source_options=source_options,
            device=device,
            background=background,
            fetch=fetch_into_library if fetch else None,
            visibility=VisibilityCache.of(default_host()),
            remark=_log.warning,
            originals=incoming.originals,
        )
        fusion = Fusion(request)  # reads the parents
    shares = request.weights[0]
    images = fusion.make(shares, request.seeds, progress=progress, opacity=True)
    return FusionResult(
        images=images[:, :3],
        request=request,
        fuser=fusion.fuser_name,
        device=str(fusion.device),
        wall_s=time.perf_counter() - start,
        texts=tuple(fusion.text(shares, s) for s in request.seeds),
        opacity=images[:, 3:] if images.shape[1] == 4 else None,
    )
