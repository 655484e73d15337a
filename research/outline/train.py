"""Train the decoder of outlines that ships with chimera: ``python research/outline/train.py --help``.

Its encoder, EfficientNet-Lite0, stays as it is; only the decoder on its feature maps learns, on one core.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from held_out import split_cutouts, test_composites
from learning import BATCH, as_tensor, batch, learn, seen
from pictures import Cutout, Pictures
from teach import Picture, believed, label, photographs, read_rgb

from chimera_core.api import FeatureEncoder, load_encoder

Item = TypeVar("Item")

_log = logging.getLogger("outline")
# Height and width of training pictures, and how often each comes.
_SHAPES, _SHARES = ((192, 256), (256, 192), (224, 224), (288, 352)), (0.36, 0.2, 0.3, 0.14)
_VALIDATION_BATCHES = 10
# Every so many cut-outs and photographs of those to learn from choose among seeds, and are learnt from never.
_VALIDATION_EVERY = 10
# Shells without a beast, and other stamps that Tux Paint keeps among animals and people.
_NO_ANIMALS = ("abalone", "eye", "murray-mussel", "snowman")
_CROWDS_EVERY, _TRAPS_AGAIN = 3, 3


def main() -> None:
    """Label photographs, learn for so many minutes, save averaged weights."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    encoder = load_encoder("timm:timm").requires_grad_(False).to(memory_format=torch.channels_last)
    files = photographs(arguments.data)
    label(
        files,
        data=arguments.data,
        teacher=arguments.teacher,
        cache=arguments.masks,
        minutes=arguments.teach_minutes,
    )
    taught = list(believed(files, data=arguments.data, cache=arguments.masks))
    cutouts = [read_cutout(file) for file in split_cutouts(arguments.data)[0]]
    # Stamps of Tux Paint that are none of the cut-outs, be they learnt from or tested on.
    known = {file.stem for file in (arguments.data / "cutouts").iterdir()}
    cutouts += [
        read_cutout(file)
        for folder in arguments.animals
        for file in sorted(folder.rglob("*.png"))
        if file.stem.replace("_", "-") not in known and file.stem not in _NO_ANIMALS
    ]
    grounds, crowds = grounds_of(encoder, arguments.data)
    # Photographs of animals serve as well, be their outlines known or not.
    photographed = [read_rgb(file) for file in files[::_CROWDS_EVERY]]
    objects = [read_cutout(file) for folder in arguments.objects for file in sorted(folder.rglob("*.png"))]
    learning = Pictures(
        _without_every(cutouts),
        _without_every(taught),
        _without_every(grounds, 4),
        _without_every(objects, 4),
        crowds=[*_without_every(crowds, 4) * _TRAPS_AGAIN, *_without_every(photographed)],
        seed=arguments.seed,
    )
    # The seed is always the same, for seeds are compared on it.
    checking = Pictures(
        cutouts[::_VALIDATION_EVERY],
        taught[::_VALIDATION_EVERY],
        grounds[::4],
        objects[::4],
        crowds=[*crowds[::4] * _TRAPS_AGAIN, *photographed[::_VALIDATION_EVERY]],
        seed=12345,
    )
    _log.info(
        "%d photographs (%d of whose animals can be laid elsewhere), %d cut-outs, %d grounds, %d things",
        *(len(part) for part in (learning.photographs, learning.lifted, learning.cutouts)),
        len(learning.grounds),
        len(learning.objects),
    )
    shapes = [*_SHAPES[:2], *[_SHAPES[2]] * (_VALIDATION_BATCHES - 2)]
    validation = [batch(seen(encoder, checking, shape, BATCH)) for shape in shapes]
    learn(
        encoder,
        learning,
        validation,
        shapes=dict(zip(_SHAPES, _SHARES, strict=True)),
        minutes=arguments.minutes,
        seed=arguments.seed,
        out=arguments.out,
        rate=arguments.rate,
        start=arguments.start,
    )


def read_cutout(file: Path, longest: int = 448) -> Cutout:
    """Read a picture with alpha as (h, w, 4), RGB and alpha."""
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture.dtype != np.uint8:
        picture = (picture // 257).astype(np.uint8)
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    if picture.shape[2] == 3:
        picture = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    picture = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)
    scale = longest / max(picture.shape[:2])
    return (
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    )


def grounds_of(encoder: FeatureEncoder, data: Path) -> tuple[list[Picture], list[Picture]]:
    """Give camera traps' frames without and with an animal, as the classifier sees it; those of the test left out."""
    tested = {ground for ground, _ in test_composites(data)}
    empty, crowded = [], []
    for file in sorted((data / "cameratrap" / "images").iterdir()):
        if file not in tested:
            picture = read_rgb(file)
            small = cv2.resize(picture, (160, 160), interpolation=cv2.INTER_AREA)
            with torch.no_grad():
                chances = encoder(as_tensor(small)).softmax(-1)
            # ImageNet lists its animals first.
            (empty if float(chances[:, :398].sum()) < 0.35 else crowded).append(picture)
    return empty, crowded


def _without_every(these: Sequence[Item], every: int = _VALIDATION_EVERY) -> list[Item]:
    return [this for index, this in enumerate(these) if index % every]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with photos/, cutouts/, cameratrap/ ..."
    )
    parser.add_argument("--teacher", type=Path, required=True, help="u2netp.onnx")
    parser.add_argument(
        "--masks", type=Path, default=Path("masks"), help="where the teacher's masks are kept"
    )
    parser.add_argument(
        "--objects", type=Path, nargs="*", default=[], help="folders of things with alpha (PNG)"
    )
    parser.add_argument(
        "--animals", type=Path, nargs="*", default=[], help="folders of more animals with alpha (PNG)"
    )
    parser.add_argument("--teach-minutes", type=float, default=12, help="how long the teacher may take")
    parser.add_argument("--minutes", type=float, default=25, help="how long to learn")
    parser.add_argument("--out", type=Path, required=True, help="state dict to write (.pt)")
    parser.add_argument("--start", type=Path, help="state dict to go on from")
    parser.add_argument("--rate", type=float, default=2.5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
