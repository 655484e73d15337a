"""Measure outlines on true masks: ``python research/outline/measure.py --data FOLDER [--u2netp FILE]``.

Video sequences and composites of cut-outs, none of which training saw (``held_out.py``). Prints a table; ``--out``
keeps the masks as pictures.
"""

from __future__ import annotations

import argparse
import collections
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from held_out import Tested, in_company, test_composites, video_frames, without_twins
from numpy.typing import NDArray
from teach import Teacher
from torch import Tensor

from chimera_core.api import load_encoder
from chimera_core.subjects.outline import find_outline

_REACH = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
Mask = NDArray[np.float32]


def main() -> None:
    """Print a row for each way to find an outline."""
    arguments = _arguments()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    encoder = load_encoder("timm:timm").requires_grad_(False)
    ways: dict[str, Callable[[Tested], Mask]] = {
        "fast": lambda tested: _array(find_outline(encoder, _tensor(tested), quality="fast").mask),
        "fine": lambda tested: _array(find_outline(encoder, _tensor(tested), quality="fine").mask),
    }
    if arguments.u2netp:
        teacher = Teacher(arguments.u2netp)
        ways["u2netp"] = lambda tested: cv2.resize(teacher(tested.picture)[0], tested.picture.shape[1::-1])
    tests = [
        *video_frames(arguments.data, every=arguments.every),
        *(tested for _, tested in test_composites(arguments.data)),
    ]
    company = in_company(arguments.data)
    parts = {
        "without twins": without_twins(arguments.data),
        "alone": {tested.name for tested in tests if tested.group == "composites"} - company,
        "in company": company,
    }
    for name, find in ways.items():
        report(name, find, tests, parts, arguments.out)


def report(
    name: str,
    find: Callable[[Tested], Mask],
    tests: Iterable[Tested],
    parts: Mapping[str, set[str]],
    out: Path | None,
) -> None:
    """Print overlap and boundary by sequence, and their means; ``parts`` names some of the composites."""
    groups: dict[str, list[tuple[float, float]]] = collections.defaultdict(list)
    seconds = []
    for tested in tests:
        begun = time.process_time()
        found = find(tested)
        seconds.append(time.process_time() - begun)
        scores = overlap(found, tested.mask), boundary_f(found, tested.mask)
        groups[tested.group].append(scores)
        for part, names in parts.items():
            if tested.name in names:
                groups[part].append(scores)
        if out:
            (out / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(out / name / f"{tested.group}+{tested.name}.png"), (found * 255).astype(np.uint8))
    means = {group: np.mean(scores, 0) for group, scores in groups.items()}
    videos = np.mean([mean for group, mean in means.items() if group not in ("composites", *parts)], 0)
    rows = {"videos": videos, **means}
    print(
        f"{name:8s}",
        *(f"{group} {iou:.3f}/{edge:.3f}" for group, (iou, edge) in rows.items()),
        f"cpu {np.mean(seconds):.2f} s",
        flush=True,
    )


def overlap(found: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Intersection over union of two masks, cut at one half."""
    one, two = found > 0.5, true > 0.5
    return float((one & two).sum() / max(1, (one | two).sum()))


def boundary_f(found: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """F measure of boundary pixels that have one of the other mask within 2 px.

    Source: Perazzi et al. 2016 (CVPR, DAVIS), section 4.2, by dilation.
    """
    one, two = (_rim(mask) for mask in (found, true))
    if not one.any() or not two.any():
        return float(one.any() == two.any())
    precision = (one & (cv2.dilate(two, _REACH))).sum() / one.sum()
    recall = (two & (cv2.dilate(one, _REACH))).sum() / two.sum()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def _rim(mask: NDArray[np.floating]) -> NDArray[np.uint8]:
    solid = (mask > 0.5).astype(np.uint8)
    return np.asarray(solid - cv2.erode(solid, np.ones((3, 3), np.uint8), borderValue=1), np.uint8)


def _tensor(tested: Tested) -> Tensor:
    return torch.from_numpy(tested.picture.copy()).permute(2, 0, 1).float() / 255


def _array(mask: Tensor) -> Mask:
    return mask[0].numpy()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--u2netp", type=Path, help="measure the teacher, too")
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth video frame")
    parser.add_argument("--out", type=Path, help="folder for masks as pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
