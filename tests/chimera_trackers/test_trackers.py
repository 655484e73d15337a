"""Trainings log to experiment trackers: the same numbers, in one run over a resume, and nothing leaves the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from chimera_trackers.config import MlflowConfig, WandbConfig
from chimera_trackers.kept_id import read_id, write_id

from chimera_core.api import ConfigError

REASON = "the extra is not installed: pip install 'chimera-toolkit[{}]'"


@pytest.mark.parametrize("text", ["", "two words", "../x", "x" * 65, "\N{SNOWMAN}"])
def test_an_id_that_is_none_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "wandb-id.txt").write_text(text, encoding="utf-8")
    assert read_id(tmp_path, "wandb") is None


def test_an_id_is_kept_by_tracker(tmp_path: Path) -> None:
    assert read_id(tmp_path, "wandb") is None
    write_id(tmp_path, "wandb", "abc-1")
    assert read_id(tmp_path, "wandb") == "abc-1" and read_id(tmp_path, "mlflow") is None


def test_tensorboard_gets_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=REASON.format("tensorboard"))
    from chimera_trackers.config import TensorBoardConfig
    from chimera_trackers.tensorboard import TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(TensorBoardConfig(), folder=tmp_path)
    logger.log(64, {"loss": 0.5, "rate": 0.1})
    logger.log(128, {"loss": 0.25})
    logger.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(64, 0.5), (128, 0.25)]
    assert [e.step for e in events.Scalars("rate")] == [64]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refuse every address but this machine's, in this process."""
    import socket

    asked: list[str] = []
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            asked.append(str(address))
            raise OSError("no network here")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


@pytest.mark.slow
def test_wandb_offline_goes_on_in_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str]
) -> None:
    wandb = pytest.importorskip("wandb", reason=REASON.format("wandb"))
    from chimera_trackers.wandb_logger import WandbLogger

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    for images in (64, 128):
        logger = WandbLogger(WandbConfig(), folder=tmp_path)
        logger.log(images, {"loss": 1 / images})
        logger.close()
    wandb.teardown()  # as at the end of a process: its service writes what it holds and ends
    known_as = read_id(tmp_path, "wandb")
    written = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert [file.name for file in written] == [f"run-{known_as}.wandb"] * 2
    assert all(b"loss" in file.read_bytes() for file in written)
    assert no_network == []


@pytest.mark.slow
def test_wandb_without_a_login_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason=REASON.format("wandb"))
    from chimera_trackers.wandb_logger import WandbLogger

    wandb.teardown()  # it reads the environment once
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"^--log wandb: .*: run wandb login, or set WANDB_MODE=offline$"):
        WandbLogger(WandbConfig(), folder=tmp_path)


@pytest.mark.slow
def test_mlflow_goes_on_in_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str]
) -> None:
    pytest.importorskip("mlflow", reason=REASON.format("mlflow"))
    from chimera_trackers.mlflow_logger import MlflowLogger
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for images in (64, 128):
        logger = MlflowLogger(MlflowConfig(experiment="cats"), folder=tmp_path)
        logger.log(images, {"loss": 1 / images, "rate": 0.1})
        logger.close()
    client, known_as = MlflowClient(), read_id(tmp_path, "mlflow")
    assert known_as is not None
    assert [(m.step, m.value) for m in client.get_metric_history(known_as, "loss")] == [
        (64, 1 / 64),
        (128, 1 / 128),
    ]
    run = client.get_run(known_as)
    assert run.info.run_name == tmp_path.name and run.info.status == "FINISHED"
    assert no_network == []


@pytest.mark.slow
def test_mlflow_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason=REASON.format("mlflow"))
    from chimera_trackers.mlflow_logger import MlflowLogger

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://x")
    with pytest.raises(ConfigError, match=r"^--log mlflow: .*MLFLOW_TRACKING_URI"):
        MlflowLogger(MlflowConfig(), folder=tmp_path)
