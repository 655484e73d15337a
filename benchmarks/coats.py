"""Coats of the pairs in a list, with seconds and memory: draws a contact sheet of body, coat and creatures.

Run: python benchmarks/coats.py benchmarks/coats.toml PICTURES [--list judged] [--coat auto,gram] [--size 256]
     [--seed 0] [-o coats.png]

PICTURES is a folder that holds the files named in the list. Memory is the process's peak so far.
"""

from __future__ import annotations

import argparse
import resource
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import check_request
from chimera_core.images import read_picture, write_png
from chimera_core.images.pixels import from_uint8, resize_shorter, to_uint8
from chimera_core.images.sheet import grid

if TYPE_CHECKING:
    from chimera_core.images.upright import UInt8

SHOWN = 200


def main() -> None:
    """Dress every body and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--list", default="judged", choices=["judged", "tuning"])
    parser.add_argument("--coat", default="auto,gram")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("coats.png"))
    args = parser.parse_args()
    rows, captions = [], []
    for pair in tomllib.loads(args.pairs.read_text())[args.list]:
        parents = [args.pictures / pair["body"], args.pictures / pair["coat"]]
        row = [_shown(from_uint8(read_picture(path).on_white())) for path in parents]
        names = [path.stem for path in parents]
        for coat in args.coat.split(","):
            fusion = Fusion(
                check_request(parents, fuser="style-transfer", options={"coat": coat}, size=args.size)
            )
            fusion.make((1.0, 0.0), [args.seed])  # animals are found
            processor, wall = time.process_time(), time.perf_counter()
            made = fusion.make((0.5, 0.5), [args.seed])[0]
            processor, wall = time.process_time() - processor, time.perf_counter() - wall
            way = fusion.fuser.last_coat  # type: ignore[attr-defined]
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{names[0]:20} {names[1]:20} {coat:8} {way:8} {processor:5.1f} s of processor, {wall:5.1f} s, "
                f"{peak_mb:5.0f} MB",
                flush=True,
            )
            row.append(_shown(made))
            names.append(f"{coat}: {way}")
        rows.append(row)
        captions.append(names)
    write_png(args.output, grid(rows, captions=captions))


def _shown(image: Tensor) -> UInt8:
    return to_uint8(resize_shorter(image, SHOWN))


if __name__ == "__main__":
    main()
