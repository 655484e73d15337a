"""Make the reference that comes along, ``chimera_core/scoring/weights/JUDGE.safetensors``.

    python research/reference/make.py --data FOLDER [--out FOLDER] [--judge NAME ...]

FOLDER holds the pictures that animals.py names; none of them is kept, only what judges see of them. Prints the checksums for
``chimera_core/scoring/built_in_files.py``, and the counts that the card gives.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from animals import reference_files, spread_over_kinds

from chimera_core.files.atomic import atomic_path
from chimera_core.files.hashing import hash_file
from chimera_core.files.weights import write_safetensors
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring.built_in import SIZES, tensors_of
from chimera_core.scoring.built_in_files import CHECKSUMS, FOLDER
from chimera_core.scoring.judge.judge import TEXTURE_SIZE, load_judge
from chimera_core.scoring.pictures import read_squares
from chimera_core.scoring.reference import Reference

VIEWS, SEED = 250, 0


def main() -> None:
    """Show the animals to every judge, and write what it sees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--judge", action="append", choices=list(CHECKSUMS), help="all when not given")
    args = parser.parse_args()
    pictures, viewed = {}, {}
    for size in SIZES:
        files = reference_files(args.data, size=size)
        kinds = [kind for kind, _ in files]
        rows = spread_over_kinds(kinds, VIEWS)
        print(f"{size} px: {len(files)} pictures of {len(set(kinds))} kinds, {_counts(files, args.data)}")
        print(f"    views: {_counts([files[k] for k in rows], args.data)}")
        pictures[size] = [file for _, file in files]
        viewed[size] = read_squares([pictures[size][k] for k in rows], size=size)
    animals = Reference(read_squares(pictures[TEXTURE_SIZE], size=TEXTURE_SIZE), size=TEXTURE_SIZE, seed=SEED)
    host = default_host()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.judge or CHECKSUMS:
        judge = load_judge(host, name)
        tensors = tensors_of(judge, animals, viewed)
        path = args.out / f"{name}.safetensors"
        metadata = {"judge": name, "images": str(len(animals)), "format": "pt"}
        with atomic_path(path) as partial, open(partial, "wb") as file:
            write_safetensors(file, tensors, metadata=metadata)
        print(f'    "{name}": "{hash_file(path)}",  # {path.stat().st_size:,} bytes', flush=True)


def _counts(files: list[tuple[str, Path]], data: Path) -> dict[str, int]:
    return dict(Counter(file.relative_to(data).parts[0] for _, file in files))


if __name__ == "__main__":
    main()
