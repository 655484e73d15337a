"""wilds asks the network for a newer wilds when it is imported: not here. And without wilds, the rest works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WATCH = """
import json, sys, threading
asked = []
def watch(event, args):
    if event.startswith("socket."):
        asked.append(event)
        raise OSError("blocked: " + event)
sys.addaudithook(watch)
started = []
start = threading.Thread.start
threading.Thread.start = lambda thread: (started.append(thread.name), start(thread))[1]
"""
REPORT = """
print(json.dumps({"asked": asked, "started": started, "alive": [t.name for t in threading.enumerate()],
    "outdated": "outdated" in sys.modules, "wilds": "wilds.version" in sys.modules}))
"""


def watched(code: str, *args: object) -> dict[str, Any]:
    """Run code with every socket refused; what it asked for, and the threads that it started."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH + code + REPORT, *map(str, args)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.slow
def test_opening_and_scoring_sends_nothing_and_leaves_no_thread(root: Path) -> None:
    report = watched(
        """
from chimera_core import open_source
source = open_source("iwildcam", root=sys.argv[1])
source.info
split = source.open("test")
split[0]
source.evaluate("test", split.labels)
""",
        root,
    )
    assert report == {"asked": [], "started": [], "alive": ["MainThread"], "outdated": False, "wilds": True}


def test_the_watch_sees_what_it_should() -> None:
    """wilds imported plainly starts its thread, and a connection is noticed: the test above can fail."""
    report = watched(
        """
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError:
    pass
import wilds
"""
    )
    assert report["asked"]
    assert report["started"]


@pytest.mark.slow
def test_a_thing_called_outdated_survives_the_import(root: Path) -> None:
    report = watched(
        """
import types
theirs = sys.modules["outdated"] = types.ModuleType("outdated")
from chimera_iwildcam.wilds_package import import_dataset_class
import_dataset_class()
assert sys.modules["outdated"] is theirs
"""
    )
    assert report["started"] == []


WITHOUT = """
import sys
sys.modules["wilds"] = None
from chimera_core.cli.root import run
sys.exit(run(sys.argv[1:]))
"""


def without_wilds(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, args)], capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_without_wilds_the_source_needs_its_extra_and_says_which(root: Path) -> None:
    listed = without_wilds("plugins", "list", "--json")
    row = next(row for row in json.loads(listed.stdout) if row["name"] == "iwildcam")
    assert row["status"] == "needs-extra"
    assert "[iwildcam]" in row["error"]
    opened = without_wilds("source", "info", "iwildcam", "--root", root)
    assert opened.returncode == 2
    assert "pip install 'chimera-toolkit[iwildcam]'" in opened.stderr
    assert len(opened.stderr.strip().splitlines()) == 1
