"""The process that draws: ``python -m chimera_core.studio.worker FOLDER``.

Jobs come as lines of JSON on stdin, events go out as lines of JSON on what was stdout. It keeps fusers and what was
found in photographs from one job to the next. A worker whose stdin closes has lost its studio, which may have been
killed: it removes the private folder and ends.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import one_line
from chimera_core.studio.private_folder import remove_private_folder


class Interrupted(BaseException):
    """Raised inside a fuser, by its own report of progress, when nobody wants the picture any more.

    No ``Exception``: a plugin that catches those must not catch this.
    """


class Inbox:
    """Jobs as they come, and which of them is to stop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._stopped = 0
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> dict[str, Any]:
        """Wait for a job; an empty one is the end."""
        return self._jobs.get()

    def check(self, job: int) -> None:
        """Go on with a job, or not.

        Raises:
            Interrupted: if it is to stop.
        """
        if self._stopped >= job:
            raise Interrupted

    def _read(self) -> None:
        for line in sys.stdin.buffer:  # UTF-8, whatever the system calls text
            message = json.loads(line)
            if "stop" in message:
                self._stopped = message["stop"]
                continue
            self._jobs.put(message)
            if not message:
                return
        remove_private_folder(self._folder)
        os._exit(1)


def main() -> None:
    """Work until there is no more."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `chimera fuse` does
    folder = Path(sys.argv[1])
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", newline="\n")
    os.dup2(2, 1)  # a plugin's print must not break the protocol
    inbox = Inbox(folder)
    from chimera_core.studio.tasks import Tasks

    tasks = Tasks(folder)

    def send(event: str, **more: Any) -> None:
        events.write(json.dumps({"event": event, **more}) + "\n")
        events.flush()

    while job := inbox.next():
        number = int(job["id"])

        def progress(done: float, total: float, number: int = number) -> None:
            inbox.check(number)
            send("progress", id=number, share=done / total if total else 0.0)

        def remark(line: str, number: int = number) -> None:
            send("remark", id=number, line=one_line(line))

        try:
            inbox.check(number)
            result = tasks.run(job["task"], job, progress=progress, remark=remark)
            send("end", id=number, result=result)
        except Interrupted:
            send("stopped", id=number)
        except ChimeraError as error:
            send("error", id=number, text=one_line(error))
        except (Exception, SystemExit) as error:  # plugin border: whatever it raises is this job's result
            with suppress(Exception):
                import traceback

                traceback.print_exc()
            send("error", id=number, text=one_line(f"{type(error).__name__}: {error}", limit=300))


if __name__ == "__main__":
    main()
