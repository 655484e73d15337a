from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from chimera_core.errors import DataError, RunError
from chimera_core.runs.checkpoints import (
    list_checkpoints,
    newest_checkpoint,
    read_checkpoint,
    remove_after,
    restore,
    save_checkpoint,
    write_tensors,
)
from chimera_core.training.parts.metrics import MetricsLog


def network() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
    return made.to(memory_format=torch.channels_last)


OPTIMIZERS: dict[str, Callable[[nn.Module], Optimizer]] = {
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), lr=1e-2, fused=True),
    "adam": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2),
    "sgd": lambda m: torch.optim.SGD(m.parameters(), lr=1e-2, momentum=0.9),
}


def learn(module: nn.Module, optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        module(x.to(memory_format=torch.channels_last)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.fixture
def no_room() -> Iterator[None]:
    """Keep files from growing over 4 kB, as a disk does that is full."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_weights_for_which_there_is_no_room_are_one_line_and_the_old_ones_stay(
    tmp_path: Path, no_room: None
) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"w": torch.zeros(10)})
    before = path.read_bytes()
    with pytest.raises(
        RunError, match=r"cannot write '.*w\.safetensors': the file grows above the size allowed"
    ):
        write_tensors(path, {"w": torch.zeros(100_000)})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]


def test_metrics_for_which_there_is_no_room_are_one_line_and_can_be_closed(
    tmp_path: Path, no_room: None
) -> None:
    log = MetricsLog(tmp_path)
    with pytest.raises(RunError, match=r"cannot write '.*metrics\.jsonl': the file grows"):
        for images in range(1000):
            log.log(images, loss=1.0)
    log.close()  # what the end of every training does, whatever ended it


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_on_from_a_checkpoint_gives_the_same_bits(tmp_path: Path, name: str) -> None:
    whole = network()
    optimizer = OPTIMIZERS[name](whole)
    learn(whole, optimizer, range(3))
    save_checkpoint(tmp_path, 12, modules={"model": whole}, optimizers={"optimizer": optimizer}, state={})
    learn(whole, optimizer, range(3, 6))

    resumed = network()
    other = OPTIMIZERS[name](resumed)
    restore(read_checkpoint(tmp_path, 12), modules={"model": resumed}, optimizers={"optimizer": other})
    learn(resumed, other, range(3, 6))
    assert equal(whole, resumed)


def test_moments_keep_the_memory_format_of_their_parameters(tmp_path: Path) -> None:
    module = network()
    optimizer = OPTIMIZERS["adamw"](module)
    learn(module, optimizer, range(1))
    save_checkpoint(tmp_path, 4, modules={}, optimizers={"optimizer": optimizer}, state={})
    restore(read_checkpoint(tmp_path, 4), modules={}, optimizers={"optimizer": optimizer})
    weight = module[0].weight  # type: ignore[index]
    assert weight.stride() != weight.contiguous().stride()
    assert optimizer.state[weight]["exp_avg"].stride() == weight.stride()


def save(folder: Path, images: int, **kwargs: object) -> None:
    save_checkpoint(
        folder, images, modules={"model": nn.Linear(2, 2)}, optimizers={}, state={"n": images}, **kwargs
    )  # type: ignore[arg-type]


def test_the_newest_stay_and_those_that_are_protected(tmp_path: Path) -> None:
    for images in (10, 20, 30, 40):
        save(tmp_path, images, keep=2, protect=[10])
    assert list_checkpoints(tmp_path) == [40, 30, 10]
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


@pytest.mark.parametrize("part", [".safetensors", ".json"])
@pytest.mark.parametrize("how", ["cut", "flip", "gone"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_used(
    tmp_path: Path, part: str, how: str
) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    file = tmp_path / f"000000020{part}"
    data = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) - 2 if part == ".safetensors" else 0] ^= 255
        file.write_bytes(bytes(data))
    found, troubles = newest_checkpoint(tmp_path)
    assert found is not None and found.images == 10 and found.state == {"n": 10}
    if (part, how) != (".json", "gone"):
        assert len(troubles) == 1 and "000000020" in troubles[0] and "damaged" in troubles[0]
        with pytest.raises(DataError, match="damaged"):
            read_checkpoint(tmp_path, 20)


def test_tensors_without_their_record_are_no_checkpoint_and_are_cleared_away(tmp_path: Path) -> None:
    save(tmp_path, 10)
    (tmp_path / "000000005.safetensors").write_bytes(b"killed while writing")
    assert list_checkpoints(tmp_path) == [10]
    save(tmp_path, 20)
    assert not (tmp_path / "000000005.safetensors").exists()


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    save(tmp_path, 10)
    file = tmp_path / "000000010.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))
    with pytest.raises(DataError, match="version 99"):
        read_checkpoint(tmp_path, 10)


def test_a_checkpoint_of_another_network_is_refused_by_the_first_tensor_that_differs(tmp_path: Path) -> None:
    save(tmp_path, 10)
    with pytest.raises(DataError, match=r"model: 'weight' has shape \(2, 2\), but the model needs \(3, 2\)"):
        restore(read_checkpoint(tmp_path, 10), modules={"model": nn.Linear(2, 3)}, optimizers={})


def test_going_back_removes_what_lies_past(tmp_path: Path) -> None:
    for images in (10, 20, 30):
        save(tmp_path, images, keep=5)
    remove_after(tmp_path, 10)
    assert list_checkpoints(tmp_path) == [10]
    assert not list(tmp_path.glob("00000002*"))


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    tied = Tied()
    save_checkpoint(tmp_path, 1, modules={"model": tied}, optimizers={}, state={})
    other = Tied()
    restore(read_checkpoint(tmp_path, 1), modules={"model": other}, optimizers={})
    values: list[Tensor] = list(other.state_dict().values())
    assert torch.equal(values[0], tied.a.weight) and other.a.weight is other.b.weight
