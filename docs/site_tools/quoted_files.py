"""Keep the code that pages quote equal to the files of ``examples/plugins``.

    python docs/site_tools/quoted_files.py [--check]

A block quotes a file where its title is the file's path there: ``title="chimera-tiny/chimera_tiny/encoder.py"``. Its text
is the file's, so that pages read well in the repository, too. ``--check`` writes nothing, and ends with 1 where a page
is not what would be written; the tests do so.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
EXAMPLES = DOCS.parent / "examples" / "plugins"
_BLOCK = re.compile(r'^(```\w+ title="([\w./-]+)"\n)(.*?)^```$', re.DOTALL | re.MULTILINE)


def main(args: list[str]) -> int:
    """Write the blocks, or compare them."""
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        quoted = with_quotes(text)
        if quoted != text:
            stale.append(page.relative_to(DOCS).as_posix())
            if "--check" not in args:
                page.write_text(quoted, encoding="utf-8")
    if "--check" in args:
        for name in stale:
            print(f"docs/{name} is out of date: run python docs/site_tools/quoted_files.py")
        return bool(stale)
    for name in stale:
        print(f"wrote docs/{name}")
    return 0


def with_quotes(text: str) -> str:
    """Give a page whose blocks are what their files hold."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_text_of(block[2])}```", text)


def _text_of(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
