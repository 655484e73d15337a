"""Make cells on a Ray cluster: the same cells, jobs and watches as here, results through the shared run folder.

What a machine is given, when, and what happens when it goes away is Ray's business. A task is one worker with some
groups of a fuser; what it recorded before its machine was lost is not made again by the one that takes over.

Whoever reaches the ports of a cluster runs code on it. One that is started here can be reached from this machine alone.
"""

from __future__ import annotations

import contextlib
import os
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chimera_core.compare.experiment.cells import read_record
from chimera_core.compare.making.pool import Group, Limits, Pool
from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import one_line

_LOOK_S = 0.5
_RETRIES = 3
# What workers must know of the caller, wherever they are.
_ENVIRONMENT = ("CHIMERA_", "PYTHONPATH", "OMP_NUM_THREADS", "HF_HUB_OFFLINE")


def run_on_ray(
    groups: Sequence[Group],
    folder: Path,
    limits: Limits,
    *,
    address: str,
    gpus: float = 0.0,
    on_cell: Callable[[str], None] = lambda cell: None,
) -> None:
    """Make all cells on a cluster; returns when each has a record.

    Args:
        folder: of the run; every machine must see it under this path, and the parents' files too.
        address: of the cluster, ``auto`` or ``HOST:PORT``; ``local`` starts one here, whatever others run already.
        gpus: that each worker is given, a share of one too.
    Raises:
        ConfigError: if Ray is not installed, or no cluster answers.
        RunError: if a task was lost too often.
    """
    if address == "local":
        # Read when Ray is imported. Without it Ray takes an outward address in place of 127.0.0.1, and listens on all.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
    except ImportError:
        raise ConfigError("--ray needs the extra: pip install 'chimera-toolkit[ray]'") from None
    try:
        # Ray puts the caller's folder on the path of its workers: code that lies beside pictures would be found there.
        with contextlib.chdir(sysconfig.get_path("stdlib")):
            ray.init(**_connection(address), log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray raises kinds of many modules
        raise ConfigError(
            f"no Ray cluster answers at {one_line(address)}: {one_line(error, limit=200)}"
        ) from None
    try:
        cpus = int(ray.cluster_resources().get("CPU", 1))
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES)(_make)
        environ = {k: v for k, v in os.environ.items() if k.startswith(_ENVIRONMENT)}
        given = (str(folder.resolve()), os.getcwd(), environ, limits)
        tasks = [remote.remote(share, *given) for share in shares_of(groups, cpus)]
        waiting = {c.id for g in groups for c in g.cells}
        while tasks:
            done, tasks = ray.wait(tasks, timeout=_LOOK_S)
            for cell_id in [c for c in waiting if read_record(folder, c) is not None]:
                waiting.remove(cell_id)
                on_cell(cell_id)
            try:
                ray.get(done)
            except ray.exceptions.RayError as error:
                raise RunError(f"a task of the cluster failed: {one_line(error, limit=300)}") from None
    finally:
        ray.shutdown()


def _connection(address: str) -> dict[str, Any]:
    """Say to Ray which cluster is meant.

    Without an address Ray joins any cluster whose name lies in the temporary folder, or in ``RAY_ADDRESS``.
    """
    if address != "local":
        return {"address": address}
    return {"address": "local", "_node_ip_address": "127.0.0.1", "include_dashboard": False}


def shares_of(groups: Sequence[Group], workers: int) -> list[list[Group]]:
    """Deal each fuser's groups out to as many tasks as can work at once, so that a fuser is loaded once in each."""
    by_fuser: dict[str, list[Group]] = {}
    for group in groups:
        by_fuser.setdefault(group.fuser, []).append(group)
    return [found[k::workers] for found in by_fuser.values() for k in range(min(workers, len(found)))]


def _make(groups: list[Group], folder: str, cwd: str, environ: dict[str, str], limits: Limits) -> None:
    """Do one task, on whatever machine."""
    os.environ.update(environ)
    if os.path.isdir(
        cwd
    ):  # names of runs, and relative paths of a registry, mean what they mean to the caller
        os.chdir(cwd)
    Pool(Path(folder), 1, limits, log=f"worker-{os.uname().nodename}-{os.getpid()}").run(groups)
