"""How long `chimera fuse` takes to put one animal's head on another's body: cold, warm, large, and in memory.

    python benchmarks/parts.py BODY HEAD

BODY and HEAD are photographs; cold is the command in a new process, warm a second pair of pictures in a loaded fuser.
"""

from __future__ import annotations

from two_photographs import report

if __name__ == "__main__":
    report(__doc__, "parts", (384, 1024))
