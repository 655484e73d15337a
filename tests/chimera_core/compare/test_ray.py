"""Cells on a Ray cluster are the cells of `--jobs 1`, also when one of its machines is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chimera_core.compare.experiment.cells import Cell, image_path, read_record
from chimera_core.compare.experiment.plan import check_experiment, lay_out
from chimera_core.compare.making.pool import Group, Limits
from chimera_core.compare.making.ray_cluster import run_on_ray, shares_of
from chimera_core.compare.making.work import Working, make_cells
from chimera_core.errors import ConfigError
from chimera_core.plugins.discovery import default_host

Write = Callable[..., Path]
SLOW = '[fusers.mix]\nfuser = "faulty"\noptions = { pause_s = 0.1 }\n'


def test_groups_are_dealt_so_that_each_task_has_one_fuser() -> None:
    groups = [
        Group(fuser, "p", {}, [Cell(f"{fuser}{k}", fuser, k, (0.5, 0.5), 0, 0, ())])
        for fuser in "ab"
        for k in range(3)
    ]
    shares = [[g.cells[0].id for g in share] for share in shares_of(groups, 2)]
    assert shares == [["a0", "a2"], ["a1"], ["b0", "b2"], ["b1"]]


def test_a_cluster_that_does_not_answer_is_said_in_one_line(experiment: Write, place: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    run = place / "run"
    run.mkdir()
    comparison = lay_out(check_experiment(experiment(), default_host()), run)
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at auto: .+") as caught:
        make_cells(comparison, comparison.cells["mix"], run, Working(1, ray="auto"))
    assert "\n" not in str(caught.value)


@pytest.fixture
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="needs the extra ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


@pytest.mark.skipif(
    "CHIMERA_TEST_RAY" not in os.environ, reason="CHIMERA_TEST_RAY is not set: a cluster takes a minute"
)
def test_a_node_that_is_killed_costs_no_cell(experiment: Write, place: Path, cluster: Any) -> None:
    second = cluster.add_node(num_cpus=1)
    tuples = ", ".join(f'["{a}.png", "{b}.png"]' for a, b in ("ab", "ba"))
    path = experiment(
        ('[["a.png", "b.png"]]', f"[{tuples}]"), ("[0, 1]", str(list(range(0, 60, 2)))), fusers=SLOW
    )
    run, alone = place / "run", place / "alone"
    run.mkdir()
    alone.mkdir()
    comparison = lay_out(check_experiment(path, default_host()), run)
    cells = comparison.cells["mix"]
    seen: list[str] = []

    def note(cell: str) -> None:
        seen.append(cell)
        if len(seen) == 20:
            cluster.remove_node(second, allow_graceful=False)

    make_cells(comparison, cells, run, Working(1, ray=cluster.address), on_cell=note)
    assert len(seen) == len(cells) == 120
    make_cells(comparison, cells, alone, Working(1))
    for cell in cells:
        record = read_record(run, cell.id)
        assert record is not None and record["status"] == "ok"
        assert image_path(run, cell.id).read_bytes() == image_path(alone, cell.id).read_bytes()


class _Stop(Exception):
    pass


@pytest.fixture
def asked_of_ray(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a module in Ray's place that notes how it is called, and where, and refuses."""
    found: dict[str, Any] = {}

    def init(**arguments: Any) -> None:
        found.update(arguments, cwd=os.getcwd())
        raise _Stop("as asked")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "")
    return found


def test_a_local_cluster_is_a_new_one_that_only_this_machine_reaches(
    asked_of_ray: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ConfigError, match="no Ray cluster answers at local: as asked"):
        run_on_ray([], tmp_path, Limits(1), address="local")
    assert (asked_of_ray["address"], asked_of_ray["_node_ip_address"]) == ("local", "127.0.0.1")
    assert asked_of_ray["include_dashboard"] is False
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


def test_ray_is_not_shown_the_current_folder_as_a_place_of_code(
    asked_of_ray: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        run_on_ray([], tmp_path, Limits(1), address="auto")
    assert asked_of_ray["address"] == "auto"
    assert asked_of_ray["cwd"] != str(tmp_path) == os.getcwd()


@pytest.mark.skipif(
    "CHIMERA_TEST_RAY" not in os.environ, reason="CHIMERA_TEST_RAY is not set: a cluster takes a minute"
)
def test_a_real_local_cluster_makes_the_cells(experiment: Write, place: Path) -> None:
    run = place / "run"
    run.mkdir()
    comparison = lay_out(check_experiment(experiment(), default_host()), run)
    make_cells(comparison, comparison.cells["mix"], run, Working(1, ray="local"))
    for cell in comparison.cells["mix"]:
        record = read_record(run, cell.id)
        assert record is not None and record["status"] == "ok"
