"""The twelve pairs on which defaults are judged: first parent (layout), then second (coat). Draws a contact sheet.

Run: python research/blind/twelve_pairs.py PHOTOS [-o twelve-pairs.png] [--creatures FOLDER] [--size 256] [--seed 0]
     [--fuser feature-morph] [--preset P] [--encoder RUN]

PHOTOS is a folder with the photographs named below as .jpg. --creatures also writes each creature, for blind judging.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from chimera_core import fuse
from chimera_core.images import write_png
from chimera_core.images.pixels import resize_shorter, to_uint8
from chimera_core.images.sheet import grid

PAIRS = (
    ("tabby", "zebra"),
    ("german_shepherd", "leopard"),
    ("brown_bear", "macaw"),
    ("american_alligator", "monarch"),
    ("giant_panda", "green_snake"),
    ("orangutan", "tiger"),
    ("bald_eagle", "lion"),
    ("siamese_cat", "great_grey_owl"),
    ("sorrel", "cheetah"),
    ("hippopotamus", "king_penguin"),
    ("pug", "goldfish"),
    ("red_fox", "peacock"),
)
SHOWN = 200
COLUMNS = 4


def main() -> None:
    """Fuse every pair and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("twelve-pairs.png"))
    parser.add_argument("--creatures", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fuser", default="style-transfer")
    parser.add_argument("--preset")
    parser.add_argument("--encoder", help="a run or component that the fuser should use")
    args = parser.parse_args()
    options = {} if args.encoder is None else {"encoder": {"name": args.encoder}}
    tiles, captions = [], []
    for layout, coat in PAIRS:
        start = time.perf_counter()
        made = fuse(
            [args.photos / f"{layout}.jpg", args.photos / f"{coat}.jpg"],
            fuser=args.fuser,
            preset=args.preset,
            size=args.size,
            seed=args.seed,
            **options,
        )
        print(f"{layout:20} {coat:16} {time.perf_counter() - start:5.1f} s", flush=True)
        if args.creatures:
            args.creatures.mkdir(parents=True, exist_ok=True)
            made.save(args.creatures / f"{layout}+{coat}.png")
        tiles.append(to_uint8(resize_shorter(made.images[0], SHOWN)))
        captions.append(f"{layout} + {coat}".replace("_", " "))
    rows = range(0, len(tiles), COLUMNS)
    sheet = grid([tiles[k : k + COLUMNS] for k in rows], captions=[captions[k : k + COLUMNS] for k in rows])
    write_png(args.output, sheet)


if __name__ == "__main__":
    main()
