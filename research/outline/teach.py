"""What a salient-object network makes of photographs, where it and its mirror image agree."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from held_out import held_out_photographs
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3), RGB."""
Mask = NDArray[np.uint8]
"""(H, W), 255 where the animal is."""

_log = logging.getLogger(__name__)
_LONGEST_SIDE = 448
_SEED = 1
_DRAWINGS_EVERY = 16
_PORTRAITS = ("afhq", "afhq-512", "faces", "lion-faces")


class Taught(NamedTuple):
    """A photograph and its teacher's mask."""

    picture: Picture
    mask: Mask


def read_rgb(file: Path, longest: int = _LONGEST_SIDE) -> Picture:
    """Read a picture, shrunk to a longest side in pixels."""
    picture = cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    scale = longest / max(picture.shape[:2])
    return (
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    )


def photographs(data: Path) -> list[Path]:
    """List photographs to learn from: the most varied first, the rest shuffled, held-out ones left out.

    People count as animals: a fuser must find them, too. Paintings and cartoons are among them, for the things that
    are learnt to be no animals are often drawn.
    """
    drawn = np.random.default_rng(_SEED)
    kept = set(held_out_photographs(data))
    varied = [f for folder in ("photos", "more-photos") for f in sorted((data / folder).glob("*.jpg"))]
    rest: list[Path] = []
    for pattern, most in (
        ("scenes/dog/*", 600),
        ("scenes/panda/*", 220),
        ("lion-faces/*", 40),
        ("afhq-512/*/*", 15),
        ("pacs/photo/dog/*", 120),
        ("pacs/photo/elephant/*", 150),
        ("pacs/photo/giraffe/*", 150),
        ("pacs/photo/horse/*", 150),
        ("pacs/photo/person/*", 120),
        ("afhq/val/*/*", 80),
        ("faces/celeba/img_align_celeba/*", 60),
    ):
        found = np.array(sorted(data.glob(pattern)), dtype=object)
        rest += list(drawn.permutation(found)[:most])
    for form in ("art_painting", "cartoon"):
        for kind in ("dog", "elephant", "giraffe", "horse"):
            varied += sorted((data / "pacs" / form / kind).iterdir())[::_DRAWINGS_EVERY]
    varied = [file for file in varied if file not in kept]
    return list(drawn.permutation(np.array(varied, dtype=object))) + list(
        drawn.permutation(np.array(rest, dtype=object))
    )


class Teacher:
    """u2netp (Qin et al. 2020, Apache-2.0), run by onnxruntime where that is installed, else by OpenCV."""

    def __init__(self, file: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            net = cv2.dnn.readNetFromONNX(str(file))
            # In OpenCV's order of outputs the first is the fused map, as in the file.
            first = net.getUnconnectedOutLayersNames()[0]

            def run(blob: NDArray[np.float32]) -> NDArray[np.float32]:
                net.setInput(blob)
                return np.asarray(net.forward(first)[0, 0])
        else:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            name, output = session.get_inputs()[0].name, session.get_outputs()[0].name

            def run(blob: NDArray[np.float32]) -> NDArray[np.float32]:
                return np.asarray(session.run([output], {name: blob})[0][0, 0])

        self._run = run

    def __call__(self, picture: Picture) -> tuple[NDArray[np.float32], float]:
        """Give the map (320, 320), stretched to [0, 1], and the highest value before stretching."""
        small = cv2.resize(picture, (320, 320), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = (small / max(float(small.max()), 1e-6) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        raw = self._run(np.ascontiguousarray(small.transpose(2, 0, 1)[None], dtype=np.float32))
        return (raw - raw.min()) / (raw.max() - raw.min() + 1e-6), float(raw.max())


def teach(teacher: Teacher, picture: Picture) -> tuple[Mask, bool]:
    """Give the mean mask of a picture and its mirror image, and whether to believe it."""
    straight, height = teacher(picture)
    mirrored = teacher(np.ascontiguousarray(picture[:, ::-1]))[0][:, ::-1]
    one, two = straight > 0.5, mirrored > 0.5
    agreement = (one & two).sum() / max(1, (one | two).sum())
    mean = (straight + mirrored) / 2
    share = float((mean > 0.5).mean())
    unsure = float(((mean > 0.2) & (mean < 0.8)).mean()) / max(share, 1e-6)
    sure = bool(agreement > 0.86 and 0.015 < share < 0.8 and unsure < 0.3 and height > 0.6)
    mask = cv2.resize((mean * 255).astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return mask, sure


def label(files: Iterable[Path], *, data: Path, teacher: Path, cache: Path, minutes: float) -> None:
    """Write masks of photographs into a folder, for so long; those that are there stay."""
    cache.mkdir(parents=True, exist_ok=True)
    network, until = Teacher(teacher), time.monotonic() + 60 * minutes
    for count, file in enumerate(files):
        target = cache / f"{_name(file, data)}.png"
        if target.exists():
            continue
        if time.monotonic() > until:
            _log.info("teacher stopped after %d photographs", count)
            return
        mask, sure = teach(network, read_rgb(file))
        # A mask that is not to be believed is kept as an empty file, so that nobody asks again.
        cv2.imwrite(str(target), mask if sure else np.zeros((1, 1), np.uint8))


def believed(files: Iterable[Path], *, data: Path, cache: Path) -> Iterator[Taught]:
    """Give the photographs whose masks are there, are believed, and hold one animal."""
    for file in files:
        target = cache / f"{_name(file, data)}.png"
        if target.exists():
            mask = cv2.imread(str(target), cv2.IMREAD_GRAYSCALE)
            if mask is None or mask.size == 1 or _several(mask):
                continue
            # A portrait of which less than a third is masked is eyes and nose.
            if file.relative_to(data).parts[0] not in _PORTRAITS or (mask > 127).mean() > 1 / 3:
                yield Taught(read_rgb(file), mask)


def _several(mask: Mask) -> bool:
    """Whether a second piece is more than a quarter of the first: which one is meant, nobody knows."""
    sizes = np.sort(cv2.connectedComponentsWithStats((mask > 127).astype(np.uint8))[2][1:, cv2.CC_STAT_AREA])
    return len(sizes) > 1 and bool(sizes[-2] > 0.25 * sizes[-1])


def _name(file: Path, data: Path) -> str:
    return "+".join(file.relative_to(data).with_suffix("").parts)
