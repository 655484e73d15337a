"""Draw the tables of the documentation from the figures that research/ keeps.

Run: python research/redraw.py [--check]

A page holds ``<!-- drawn: FOLDER/NAME -->`` before and ``<!-- /drawn -->`` after what research/FOLDER/tables.py gives as
TABLES[NAME]; nothing between is typed by hand. --check writes nothing, and ends with 1 where a page differs.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from chimera_core.files.atomic import write_text_atomic

RESEARCH = Path(__file__).parent
DOCS = RESEARCH.parent / "docs"
BLOCK = re.compile(r"(<!-- drawn: ([\w-]+)/([\w-]+) -->\n).*?(<!-- /drawn -->)", re.DOTALL)


def main() -> int:
    """Redraw, or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    different = list(redrawn(DOCS))
    for path, text in different:
        print(f"{path.relative_to(DOCS.parent)}: {'differs' if args.check else 'drawn'}")
        if not args.check:
            write_text_atomic(path, text)
    return 1 if args.check and different else 0


def redrawn(docs: Path) -> Iterator[tuple[Path, str]]:
    """Give the pages whose drawn parts differ from the figures, with their new texts."""
    for path in sorted(docs.rglob("*.md")):
        text = path.read_text()
        drawn = BLOCK.sub(_drawn, text)
        if drawn != text:
            yield path, drawn


def _drawn(found: re.Match[str]) -> str:
    start, folder, name, end = found.groups()
    if str(RESEARCH) not in sys.path:
        sys.path.insert(0, str(RESEARCH))
    table = importlib.import_module(f"{folder}.tables").TABLES[name]
    return f"{start}\n{table()}\n\n{end}"


if __name__ == "__main__":
    sys.exit(main())
