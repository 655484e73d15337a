"""A made-up comparison with its report, and small experiments with fusers that behave and misbehave."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toys.made_up_comparison import write_comparison

from chimera_core.report.page import write_report

Write = Callable[..., Path]


@pytest.fixture(scope="package")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one made-up comparison with its report, for all tests here that only read it."""
    folder = tmp_path_factory.mktemp("compare") / "made-up"
    write_comparison(folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def faulty_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder that shows the fakes as an installed plugin."""
    folder = tmp_path_factory.mktemp("faulty-site")
    info = folder / "fake_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chimera.plugins]\nfakes = chimera_core.testing.fakes.plugin\n")
    return folder


@pytest.fixture
def place(faulty_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a working folder in which this process and its workers know the fakes."""
    from chimera_core.plugins import discovery as plugins

    monkeypatch.syspath_prepend(str(faulty_site))
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(faulty_site), before))))
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    registry = tmp_path / "narrow" / "registry.toml"
    registry.parent.mkdir()
    registry.write_text(NARROW)
    monkeypatch.setenv("CHIMERA_REGISTRY", str(registry))
    monkeypatch.chdir(tmp_path)
    plugins._discover_once.cache_clear()
    yield tmp_path
    plugins._discover_once.cache_clear()


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers begin with what this process has imported, for tests that are about something else: 4 s for each.

    Trainings start afresh: OpenMP's threads of this process do not live on in a fork, and a backward pass may crash there.
    """
    from chimera_core.compare.making import pool, worker

    def start(*args: Any, env: Mapping[str, str], **kwargs: Any) -> subprocess.Popen[bytes]:
        def work() -> None:
            gc.freeze()  # collected, all that was imported would be copied
            os.closerange(3, 1024)
            os.environ.update(env)
            sys.stdin = open(0)  # noqa: SIM115 - for its whole life
            worker.main()
            os._exit(0)

        return subprocess.Popen(*args, env=env, preexec_fn=work, **kwargs)

    monkeypatch.setattr(pool, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": start}))


@pytest.fixture
def few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let judges learn their parents from a few views of each, found at once: a score, though no good one."""
    from chimera_core.scoring import parents, pictures

    for few in ("_VIEWS", "_WHOLE", "_EXPOSURES", "_GROUND_VIEWS"):
        monkeypatch.setattr(parents, few, 4)
    monkeypatch.setattr(pictures, "load_finder", lambda: None)
    monkeypatch.setattr(pictures, "find_subject", lambda finder, image: (image[:1] > 0.4).float())


# The network that is a judge here, where its pictures are of 16 pixels: a twentieth of the work of its defaults.
NARROW = "[plugins.cnn.options.cnn]\nwidths = [8, 16, 32, 32]\ndepth = 1\n"

HEAD = """name = "small"
size = 16
seeds = [0, 1]
weights = [[1, 0], [0.5, 0.5]]
[parents]
tuples = [["a.png", "b.png"]]
[judge]
encoder = "cnn"
"""
FUSER = """[fusers.mix]
fuser = "faulty"
"""


@pytest.fixture
def experiment(place: Path, picture: Callable[..., Path]) -> Write:
    """Write an experiment of two pictures; replacements are (old, new) pairs of its text."""
    picture("a.png", size=(20, 20))
    picture("b.png", size=(20, 20), colour=(20, 80, 200))

    def write(*replaced: tuple[str, str], fusers: str = FUSER, name: str = "small.toml") -> Path:
        text = HEAD + fusers
        for old, new in replaced:
            assert old in text, f"the experiment does not hold {old!r}"
            text = text.replace(old, new, 1)
        path = place / name
        path.write_text(text)
        return path

    return write
