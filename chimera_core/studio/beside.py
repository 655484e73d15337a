"""The studio's process beside a notebook: ``python -m chimera_core.studio.beside``. It ends when its stdin closes."""

from __future__ import annotations

import json
import sys
import threading

from chimera_core.errors import ChimeraError
from chimera_core.studio.server import serving


def main() -> int:
    """Print the address as a line of JSON, and serve until stdin closes."""
    try:
        with serving(port=0, may_be_framed=True) as running:
            print(json.dumps({"address": running.address}), flush=True)

            def wait_for_the_end() -> None:
                sys.stdin.read()
                running.server.should_exit = True

            threading.Thread(target=wait_for_the_end, daemon=True).start()
            running.wait()
    except ChimeraError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
