"""What a worker does: look at photographs, draw creatures, write moving ones; fusers and photographs are kept."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.errors import ChimeraError
from chimera_core.files.own_folders import make_folder
from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import FusionRequest, check_request
from chimera_core.library.visibility_cache import VisibilityCache
from chimera_core.plugins.discovery import default_host
from chimera_core.records import Parent

if TYPE_CHECKING:
    from chimera_core.interfaces.components import FusionGenerator

# Each holds its networks and what it found; the photographs hold up to a megapixel of floats each.
_MOST_FUSERS, _MOST_PHOTOGRAPHS = 4, 32

Progress = Callable[[float, float], None]
Remark = Callable[[str], None]


class Tasks:
    """Does a worker's jobs.

    Args:
        folder: the studio's private one; pictures are written below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = default_host()
        self._fusers: OrderedDict[str, FusionGenerator] = OrderedDict()
        self._photographs: dict[tuple[object, ...], Parent] = {}

    def run(self, task: str, job: Mapping[str, Any], *, progress: Progress, remark: Remark) -> dict[str, Any]:
        """Do one job.

        Args:
            task: ``facts``, ``warm``, ``look``, ``brush``, ``draw`` or ``gif``.
            job: its arguments, as ``chimera_core.studio.workshop`` sends them.
            progress: called with (done, total).
            remark: called with a line for the user.
        Returns:
            Plain values; pictures are files in the private folder.
        Raises:
            ChimeraError: one line for the user.
        """
        if task == "facts":
            return {"fusers": self._facts()}
        if task == "warm":
            return self._warm()
        if task == "look":
            from chimera_core.studio.found import look_at_parents

            return look_at_parents(self, job, remark=remark)
        if task == "brush":
            from chimera_core.studio.found import brush_outline

            return brush_outline(self, job, remark=remark)
        if task == "gif":
            return self._write_gif(job, progress=progress, remark=remark)
        return self._draw(job, progress=progress, remark=remark)

    def open(self, arguments: Mapping[str, Any], weights: Any, *, remark: Remark) -> Fusion:
        """Check what is asked for, as ``chimera fuse`` does, and load it, with what was kept."""
        request = check_request(
            weights=weights, **arguments, visibility=VisibilityCache.of(self.host), host=self.host
        )
        if len(self._photographs) > _MOST_PHOTOGRAPHS:  # fusers keep what they found in each
            self._photographs.clear()
            self._fusers.clear()
        key = _fuser_key(request)
        fusion = Fusion(request, fuser=self._fusers.get(key), photographs=self._photographs)
        self._fusers[key] = fusion.fuser
        self._fusers.move_to_end(key)
        while len(self._fusers) > _MOST_FUSERS:
            self._fusers.popitem(last=False)
        fusion.fuser.remark = remark
        return fusion

    def _facts(self) -> list[dict[str, Any]]:
        """Say of every installed fuser what only its class knows."""
        facts = []
        for component in self.host.components("fusion-generator"):
            try:
                fuser: Any = component.load_class()
            except ChimeraError:
                continue
            facts.append(
                {
                    "name": component.full_name,
                    "needs_training": bool(fuser.needs_training),
                    "most": fuser.max_parents,
                    "ordered": bool(fuser.ordered),
                    "accepts": sorted(fuser.accepts),
                }
            )
        return facts

    def _warm(self) -> dict[str, Any]:
        """Load the fuser that photographs go to, before the first ones come."""
        from chimera_core.devices import select_device
        from chimera_core.fusing.request import DEFAULT_PHOTO_FUSER
        from chimera_core.models.fusers import resolve_fuser

        chosen = resolve_fuser(self.host, DEFAULT_PHOTO_FUSER)
        self._fusers[_key_of(chosen, "auto")] = chosen.load(device=select_device("auto"))
        return {}

    def _draw(self, job: Mapping[str, Any], *, progress: Progress, remark: Remark) -> dict[str, Any]:
        from chimera_core.images import write_png
        from chimera_core.images.pixels import to_uint8

        fusion = self.open(job["arguments"], [job["weights"]], remark=remark)
        request = fusion.request
        weights, seed = request.weights[0], request.seeds[0]
        made = fusion.make(weights, [seed], progress=progress, opacity=True)[0]
        path = self.folder / "made" / f"{job['name']}.png"
        make_folder(path.parent, within=self.folder)
        write_png(path, to_uint8(made), text=fusion.text(weights, seed))
        return {
            "file": str(path),
            "fuser": fusion.fuser_name,
            "size": [int(made.shape[-1]), int(made.shape[-2])],
            "names": [parent.name for parent in fusion.parents(seed)],
            "pictures": [str(picture) for picture in request.pictures if picture is not None],
            "chosen": str(request.fuser.trained) if request.is_chosen else "",
        }

    def _write_gif(self, job: Mapping[str, Any], *, progress: Progress, remark: Remark) -> dict[str, Any]:
        from chimera_core.fusing.sweeps import FPS, sweep_frames, there_and_back
        from chimera_core.images import write_gif

        fusion = self.open(job["arguments"], job["steps"], remark=remark)
        count, done, last = len(fusion.request.weights), 0, 0.0

        def report(part: float, total: float) -> None:
            nonlocal done, last
            share = part / total if total else 0.0
            if share >= 1 and last < 1:  # a frame ends once, whoever says it again
                done += 1
            last = share
            progress(min(1.0, (done + share % 1) / count), 1.0)

        path = self.folder / "made" / f"{job['name']}.gif"
        make_folder(path.parent, within=self.folder)
        frames, text = sweep_frames(fusion, progress=report)
        write_gif(path, there_and_back(frames), fps=FPS, text=text)
        return {"file": str(path), "fuser": fusion.fuser_name}


def _fuser_key(request: FusionRequest) -> str:
    return _key_of(request.fuser, request.device)


def _key_of(chosen: Any, device: str) -> str:
    """Name a fuser with its options: what makes two loaded ones equal."""
    trained = str(chosen.trained.weights) if chosen.trained else ""
    return json.dumps([chosen.as_table(), trained, device], sort_keys=True, default=str)
