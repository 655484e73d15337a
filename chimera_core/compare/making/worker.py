"""A process that makes cells of one fuser: ``python -m chimera_core.compare.making.worker``.

Jobs come as lines of JSON on stdin; events go out as lines of JSON on what was stdout. Whatever a plugin prints goes to
stderr. A worker whose stdin closes has lost its comparison, and ends at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from chimera_core.compare.experiment.cells import Cell, image_path, read_record, write_record
from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import one_line

if TYPE_CHECKING:
    from chimera_core.interfaces.components import FusionGenerator


def main() -> None:
    """Work until there is no more."""
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", newline="\n")
    os.dup2(2, 1)  # a plugin's print must not break the protocol
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    maker = Maker(events)
    while True:
        job = jobs.get()
        if not job:
            return
        maker.make(job)


def _read_jobs(jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:  # UTF-8, whatever the system calls text
        job = json.loads(line)
        jobs.put(job)
        if not job:
            return
    os._exit(1)  # the comparison is gone, perhaps killed


class Maker:
    """Makes cells, keeping the fuser between jobs."""

    def __init__(self, events: TextIO) -> None:
        self._events = events
        self._loaded: tuple[Any, FusionGenerator] | None = None

    def make(self, job: dict[str, Any]) -> None:
        """Make the cells of one tuple.

        Args:
            job: ``folder``; ``request``, the arguments of ``check_request``; ``registries``; ``cells``, as
                ``Cell.to_json`` gives them, which may differ in parents by seed.
        """
        folder = Path(job["folder"])
        fusion: Any = None
        parents: tuple[str, ...] = ()
        for cell in map(Cell.from_json, job["cells"]):
            if read_record(folder, cell.id) is not None:
                self._send("done", cell.id)
                continue
            try:
                if fusion is None or cell.parents != parents:
                    self._send("loading", cell.id)
                    parents = cell.parents
                    fusion = self._fusion(job, parents)
                self._send("start", cell.id)
                self._make_cell(fusion, cell, folder)
            except (Exception, SystemExit) as error:
                # Plugin border: whatever it raises is this cell's result.
                text = str(error) if isinstance(error, ChimeraError) else f"{type(error).__name__}: {error}"
                write_record(folder, cell, status="failed", error=one_line(text))
            self._send("done", cell.id)
        self._send("end", "")

    def _fusion(self, job: dict[str, Any], parents: Sequence[str]) -> Any:
        from chimera_core.fusing.fusion import Fusion
        from chimera_core.fusing.request import check_request
        from chimera_core.plugins.discovery import registry_files

        registry_files.set(tuple(map(Path, job["registries"])))
        kept = self._loaded[1] if self._loaded and self._loaded[0] == job["request"] else None
        if kept is None:
            self._loaded = None  # before the next one is loaded beside it
        fusion = Fusion(check_request(parents, **job["request"]), fuser=kept)
        self._loaded = job["request"], fusion.fuser
        return fusion

    def _make_cell(self, fusion: Any, cell: Cell, folder: Path) -> None:
        from chimera_core.images import write_png
        from chimera_core.images.pixels import to_uint8

        start = time.perf_counter()
        image = fusion.make(cell.weights, [cell.fuser_seed])[0]
        wall_s = time.perf_counter() - start
        text = fusion.text(cell.weights, cell.fuser_seed)
        write_png(image_path(folder, cell.id), to_uint8(image), text=text)
        write_record(folder, cell, status="ok", wall_s=wall_s, device=str(fusion.device))

    def _send(self, event: str, cell: str) -> None:
        self._events.write(json.dumps({"event": event, "cell": cell}) + "\n")
        self._events.flush()


if __name__ == "__main__":
    main()
