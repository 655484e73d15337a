"""What was found in photographs, drawn over them: the animal's outline, its head, the neck and the face.

The outline is what every fuser starts from; head, neck and face are what the chosen fuser says that it saw, its user's
hints included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chimera_core.errors import ChimeraError
from chimera_core.files.own_folders import make_folder
from chimera_core.library.matching import plain_name
from chimera_core.records import Parent
from chimera_core.subjects.finder import SubjectFinder

if TYPE_CHECKING:
    from chimera_core.studio.tasks import Remark, Tasks

PREVIEW_SIDE = 640
_PAPER, _INK = (255, 255, 255), (20, 24, 32)
_OUTLINE, _HEAD, _NECK, _FACE = (0, 200, 170), (255, 176, 0), (255, 90, 95), (90, 150, 255)
# So sure, a finding needs no second look of the user's.
_SURE = 0.6


def look_at_parents(tasks: Tasks, job: Mapping[str, Any], *, remark: Remark) -> dict[str, Any]:
    """Look at parents, and draw what was found over each.

    Args:
        job: ``arguments`` of ``check_request``; ``places``, the parent's place on the page for each; ``chooses``, whether
            the automatic choice of a fuser is to be made, which it remarks.
    Returns:
        ``parents``: for each its place, the file with the drawing (empty for a class), a sentence, its name as fusers
        call it, and what was found.
    Raises:
        ChimeraError: if a photograph cannot be read.
    """
    arguments, places = dict(job["arguments"]), job["places"]
    alone = len(arguments["parents"]) == 1
    if alone:  # a request has two; the second is not looked at
        arguments["parents"] = arguments["parents"] * 2
        arguments["masks"] = arguments["masks"] * 2
    fusion = tasks.open(arguments, (), remark=remark)
    parents = fusion.parents(fusion.request.seeds[0])[: len(places)]
    seen: Sequence[Mapping[str, Any]] = [{}] * len(parents)
    if not alone:
        try:
            if job.get("chooses"):
                # All of the first parent is that parent itself: nothing is drawn, but the fuser has chosen.
                fusion.make([1.0] + [0.0] * (len(parents) - 1), fusion.request.seeds[:1])
            seen = fusion.findings(fusion.request.seeds[0]) or seen
        except ChimeraError as error:
            remark(str(error))
    finder = SubjectFinder("auto", device=fusion.device)
    taken = [
        picture.found if picture is not None and picture.found != plain_name(picture.name) else ""
        for picture in fusion.request.pictures or [None] * len(parents)
    ]
    return {
        "parents": [
            {
                "place": place,
                "name": parent.name,
                **_described(tasks.folder, finder, parent, facts, _hints(arguments, k)),
                **({"taken": taken[k]} if taken[k] else {}),
            }
            for k, (place, parent, facts) in enumerate(zip(places, parents, seen, strict=True))
        ]
    }


def _hints(arguments: Mapping[str, Any], k: int) -> dict[str, list[float]]:
    """Give the head and the neck that the user set for one parent, each as four shares of the picture."""
    hints = {}
    for part, option in (("head", "head_box"), ("neck", "neck")):
        lines = arguments.get("options", {}).get(option) or []
        if k < len(lines) and lines[k] != "auto":
            try:
                hints[part] = [float(value) for value in lines[k].split(",")]
            except ValueError:  # the fuser's own options say what is wrong with it
                continue
    return {part: values for part, values in hints.items() if len(values) == 4}


def _with_hints(facts: Mapping[str, Any], hints: Mapping[str, list[float]]) -> dict[str, Any]:
    """Put what the user set in place of what the fuser made of it."""
    head, neck = hints.get("head"), hints.get("neck")
    given: dict[str, Any] = {"head": {**(facts.get("head") or {}), "box": head}} if head else {}
    if neck:
        given["neck"] = {**(facts.get("neck") or {}), "nape": neck[:2], "throat": neck[2:]}
    return {**facts, **given}


def _described(
    folder: Path,
    finder: SubjectFinder,
    parent: Parent,
    facts: Mapping[str, Any],
    hints: Mapping[str, list[float]],
) -> dict[str, Any]:
    if parent.image is None:
        return {"file": "", "text": "The fuser draws its own.", "facts": {}}
    mask = finder.find(parent).mask[0].cpu().numpy()
    confidence = finder.confidence(parent)
    pixels = (parent.image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
    facts = _with_hints(facts, hints)
    drawn = draw_findings(pixels, mask if confidence is None or confidence > 0 else None, facts)
    return {
        "file": str(_kept(folder, drawn)),
        "text": sentence(confidence, facts, own=parent.mask is not None, given=tuple(hints)),
        "facts": {key: facts.get(key) for key in ("head", "neck", "face")},
    }


def sentence(
    confidence: float | None, facts: Mapping[str, Any], *, own: bool, given: Sequence[str] = ()
) -> str:
    """Say in words what the drawing shows: whoever cannot see it reads this.

    Args:
        own: whether the outline is the user's.
        given: ``head`` and ``neck`` where the user set them.
    """
    if own:
        outline = "outline (as given)"
    elif not confidence:
        return "No animal was found: the whole picture is taken. Brush its outline to mend that."
    else:
        outline = "outline" if confidence >= _SURE else "an unsure outline"
    found = [outline]
    head, neck, face = facts.get("head"), facts.get("neck"), facts.get("face")
    if "head" in given:
        found.append("head (as given)")
    elif head:
        sure = (neck or {}).get("confidence", 1.0)
        found.append("head" if sure >= _SURE else "an unsure head")
    if neck:
        follows = "neck (moved with the head)" if "head" in given else "neck"
        found.append("neck (as given)" if "neck" in given else follows)
    if face:
        found.append("face")
    return "Found: " + ", ".join(found) + "."


def draw_findings(pixels: Any, mask: Any | None, facts: Mapping[str, Any]) -> Any:
    """Draw what was found over a photograph.

    Args:
        pixels: uint8 (H, W, 3).
        mask: float (H, W) in [0, 1]; None where nothing was found.
        facts: ``head``, ``neck`` and ``face`` as fusers' findings give them, in shares of the picture.
    Returns:
        uint8 (h, w, 3), its longer side ``PREVIEW_SIDE``.
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = PREVIEW_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    drawn = cv2.resize(pixels, size, interpolation=way)

    def place(point: Sequence[float]) -> tuple[int, int]:
        return round(point[0] * size[0]), round(point[1] * size[1])

    if mask is not None:
        solid = (cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.uint8)
        dimmed = (drawn * 0.55 + 255 * 0.12).astype(np.uint8)
        drawn = np.where(solid[..., None] > 0, drawn, dimmed)
        lines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for colour, thick in ((_INK, 5), (_OUTLINE, 3)):
            cv2.drawContours(drawn, lines, -1, colour, thick, cv2.LINE_AA)
    head, neck, face = (facts.get(key) or {} for key in ("head", "neck", "face"))
    for box, tint in ((head.get("box"), _HEAD), (None if head else face.get("box"), _FACE)):
        if not box:
            continue
        for colour, thick in ((_INK, 5), (tint, 3)):
            cv2.rectangle(drawn, place(box[:2]), place(box[2:]), colour, thick, cv2.LINE_AA)
    if neck:
        for colour, thick in ((_INK, 6), (_NECK, 4)):
            cv2.line(drawn, place(neck["nape"]), place(neck["throat"]), colour, thick, cv2.LINE_AA)
    for name in ("left_eye", "right_eye", "nose", "mouth", "chin"):
        if face.get(name):
            cv2.circle(drawn, place(face[name]), 6, _INK, -1, cv2.LINE_AA)
            cv2.circle(drawn, place(face[name]), 4, _FACE, -1, cv2.LINE_AA)
    return drawn


def merge_brushed(found: Any, brushed: Any) -> Any:
    """Give the outline with what the user brushed over it.

    Args:
        found: float (H, W) in [0, 1].
        brushed: uint8 (h, w, 4): painted green where animal is to be added, red where it is to go.
    Returns:
        uint8 (H, W), white where the animal is.
    """
    import cv2

    height, width = found.shape
    painted = cv2.resize(brushed, (width, height), interpolation=cv2.INTER_LINEAR).astype(int)
    solid = painted[..., 3] > 100
    green, red = painted[..., 1] > painted[..., 0] + 40, painted[..., 0] > painted[..., 1] + 40
    merged = found.copy()
    merged[solid & green] = 1.0
    merged[solid & red] = 0.0
    return np.round(merged * 255).astype(np.uint8)


def _kept(folder: Path, pixels: Any) -> Path:
    """Write a preview under a name that its pixels decide."""
    from chimera_core.images import write_png

    name = hashlib.sha256(pixels.tobytes()).hexdigest()[:20]
    path = make_folder(folder / "looks", within=folder) / f"{name}.png"
    if not path.is_file():
        write_png(path, pixels)
    return path


def brush_outline(tasks: Tasks, job: Mapping[str, Any], *, remark: Remark) -> dict[str, Any]:
    """Write the outline of one parent with what was brushed over it.

    Args:
        job: ``arguments`` as of a look at one parent alone, ``brushed`` a PNG of what was painted, ``name`` of the mask.
    Returns:
        ``file``: the mask.
    """
    from PIL import Image

    from chimera_core.images import write_png

    arguments = dict(job["arguments"])
    arguments["parents"] = arguments["parents"] * 2
    arguments["masks"] = arguments["masks"] * 2
    fusion = tasks.open(arguments, (), remark=remark)
    parent = fusion.parents(fusion.request.seeds[0])[0]
    found = SubjectFinder("auto", device=fusion.device).find(parent).mask[0].cpu().numpy()
    with Image.open(job["brushed"]) as painted:
        merged = merge_brushed(found, np.asarray(painted.convert("RGBA")))
    path = make_folder(tasks.folder / "masks", within=tasks.folder) / f"{job['name']}.png"
    write_png(path, np.repeat(merged[..., None], 3, axis=2))
    return {"file": str(path)}
