"""Write the second report's three data sets, in their true layouts, out of other pictures.

    python examples/report-2/write_data.py DATA ROOT [--limit 20]

DATA holds `mnist/`, `faces/` and `tiny-animals/`; ROOT gets `MNIST/`, `celeba/`, `flickr-dog/` and `lhi-animal-faces/`,
so that each of `mnist`, `celeba` and `persondog` finds its own with `--source.root ROOT`. These are NOT the report's
pictures:

- MNIST: true digits, but of its 10,000 test images alone: the first 9,000 stand in for the 60,000 of training.
- CelebA: 8,000 aligned faces of UTKFace. They fill the frame: crop 178 pixels, not CelebA's 108.
- Flickr-Dog and the dogs of LHI-Animal-Faces: dogs of Tiny ImageNet, whole animals and not faces alone, 64 pixels
  wide. Three breeds lie where Flickr-Dog's single dogs lie, two in `DogHead`: 2,500 for the report's 760 faces.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

FLICKR_DOG = ("chihuahua", "golden-retriever", "yorkshire-terrier")
LHI_DOG = ("german-shepherd", "labrador")
HELD_OUT = 1000
"""Digits that are the new test set."""
_HEADERS = {"images-idx3": 16, "labels-idx1": 8}
"""Bytes before the data: a magic number, then each dimension, as big-endian uint32."""


def main() -> None:
    """Write the folders, and say how many pictures are in them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder that holds mnist/, faces/ and tiny-animals/")
    parser.add_argument("root", type=Path, help="folder to write into")
    parser.add_argument("--limit", type=int, help="at most so many digits, faces, and dogs of a breed")
    args = parser.parse_args()
    for part in ("MNIST", "celeba", "flickr-dog", "lhi-animal-faces"):
        if (args.root / part).exists():
            parser.error(f"{args.root / part} is there already: remove it, or name another root")
    for part in ("mnist/MNIST/raw", "faces/celeba/img_align_celeba", "tiny-animals/train"):
        if not (args.data / part).exists():
            parser.error(
                f"{args.data} holds no {part}: name the folder that holds mnist/, faces/ and tiny-animals/"
            )
    digits = write_digits(args.data / "mnist" / "MNIST" / "raw", args.root / "MNIST" / "raw", args.limit)
    faces = write_faces(args.data / "faces" / "celeba", args.root / "celeba", args.limit)
    dogs = write_dogs(args.data / "tiny-animals" / "train", args.root, args.limit)
    print(f"{args.root}: {digits:,} digits, {faces:,} persons, {dogs:,} dogs")


def write_digits(raw: Path, to: Path, limit: int | None = None) -> int:
    """Part MNIST's test images into training and test, in IDX files; give their number.

    Args:
        raw: folder that holds ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, plain or ``.gz``.
        to: the new ``MNIST/raw``.
        limit: at most so many digits.
    """
    to.mkdir(parents=True)
    count = 0
    for kind, header in _HEADERS.items():
        whole = _read(raw / f"t10k-{kind}-ubyte")
        magic, there, *sides = struct.unpack(f">{header // 4}I", whole[:header])
        each = (len(whole) - header) // there
        count = min(there, limit or there)
        first = count - min(HELD_OUT, count // 10)
        for name, start, end in (("train", 0, first), ("t10k", first, count)):
            (to / f"{name}-{kind}-ubyte").write_bytes(
                struct.pack(f">{header // 4}I", magic, end - start, *sides)
                + whole[header + start * each : header + end * each]
            )
    return count


def write_faces(celeba: Path, to: Path, limit: int | None = None) -> int:
    """Copy faces in CelebA's layout, with their partitions; give their number."""
    rows = (celeba / "list_eval_partition.txt").read_text().splitlines()
    # With a limit, some of every partition: its rows are sorted by them.
    rows = rows if limit is None else rows[:: max(1, -(-len(rows) // limit))]
    _copy([celeba / "img_align_celeba" / row.split()[0] for row in rows], to / "img_align_celeba")
    (to / "list_eval_partition.txt").write_text("".join(f"{row}\n" for row in rows))
    return len(rows)


def write_dogs(train: Path, root: Path, limit: int | None = None) -> int:
    """Copy dogs into ``flickr-dog/BREED`` and ``lhi-animal-faces/DogHead``; give their number.

    A breed takes the place of a single dog: nothing is known of whose pictures these are.
    """
    flickr = [_copy(_first(train / breed, limit), root / "flickr-dog" / breed) for breed in FLICKR_DOG]
    lhi = [path for breed in LHI_DOG for path in _first(train / breed, limit)]
    return sum(flickr) + _copy(lhi, root / "lhi-animal-faces" / "DogHead")


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else gzip.decompress(Path(f"{file}.gz").read_bytes())


def _first(folder: Path, limit: int | None) -> list[Path]:
    return sorted(folder.iterdir())[:limit]


def _copy(files: Sequence[Path], to: Path) -> int:
    to.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, to / file.name)
    return len(files)


if __name__ == "__main__":
    main()
