"""How long `chimera fuse` takes to make one face of two: cold, warm, large, and in memory.

    python benchmarks/portrait.py ONE OTHER

ONE and OTHER are photographs; cold is the command in a new process, warm a second pair of pictures in a loaded fuser.
"""

from __future__ import annotations

from two_photographs import report

if __name__ == "__main__":
    report(__doc__, "portrait", (384, 2000))
