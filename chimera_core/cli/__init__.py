"""The command line: one file per command, loaded when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run ``chimera`` and exit: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    try:
        from chimera_core.cli._interrupts import end_by_signals
        from chimera_core.processes import keep_current_folder_out

        restore_signals = end_by_signals()
        keep_current_folder_out()
        from chimera_core.cli._streams import prepare_streams

        prepare_streams()
        from chimera_core.cli.root import run

        code = run(args)
        restore_signals()
    except KeyboardInterrupt:
        print("chimera: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
