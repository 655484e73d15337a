"""EMA, NaN guard, metrics, clock, interrupts, precision."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from chimera_core import precision
from chimera_core.errors import ConfigError, RunError
from chimera_core.precision import choose_precision
from chimera_core.processes import is_worker
from chimera_core.randomness import seed_step
from chimera_core.training import launch
from chimera_core.training.parts.clock import Clock, is_due
from chimera_core.training.parts.ema import Ema
from chimera_core.training.parts.guard import NanGuard, is_sound
from chimera_core.training.parts.interrupts import catch_interrupts
from chimera_core.training.parts.metrics import Means, MetricsLog, read_metrics
from chimera_core.training.plan import keep_compiled_code_private


@pytest.mark.parametrize("word", ["torchrun", "another launcher"])
def test_a_process_of_any_launcher_trains_together_with_its_peers(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert not is_worker() and launch.rank() == 0
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv(*(("TORCHELASTIC_RUN_ID", "x") if word == "torchrun" else ("WORLD_SIZE", "2")))
    assert is_worker() and launch.rank() == 1


def test_ema_averages_weights_and_batch_norm_buffers_and_copies_counters() -> None:
    module = nn.BatchNorm1d(1)
    ema = Ema(module, decay=0.9)
    with torch.no_grad():
        module.weight.fill_(2)
        module.running_mean.fill_(10)  # type: ignore[union-attr, operator]
        module.num_batches_tracked.fill_(7)  # type: ignore[union-attr, operator]
    ema.update(module, step=1000)
    assert float(ema.module.weight) == pytest.approx(1.1)
    assert float(ema.module.running_mean) == pytest.approx(1.0)
    assert int(ema.module.num_batches_tracked) == 7
    assert not ema.module.training and not ema.module.weight.requires_grad


def test_ema_forgets_its_beginning_faster() -> None:
    module = nn.Linear(1, 1, bias=False)
    ema = Ema(module, decay=0.999)
    with torch.no_grad():
        ema.module.weight.fill_(0)
        module.weight.fill_(1)
    ema.update(module, step=0)
    assert float(ema.module.weight) == pytest.approx(0.9)


def test_the_guard_halves_the_rate_once_and_then_stops() -> None:
    guard = NanGuard()
    guard.check(torch.tensor(1.0))
    assert not guard.has_diverged()
    guard.mark_good(128)
    guard.check(torch.tensor(float("nan")))
    guard.check(torch.tensor(1.0))
    assert guard.has_diverged() and not guard.has_diverged()
    assert guard.go_back(200) == 128
    assert guard.factor == 0.5
    other = NanGuard()
    other.restore(json.loads(json.dumps(guard.state())))
    with pytest.raises(RunError, match="again, at half the rate: lower --lr"):
        other.go_back(300)


def test_without_a_good_checkpoint_the_guard_stops_at_once() -> None:
    with pytest.raises(RunError, match="not finite after 64 images"):
        NanGuard().go_back(64)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_with_one_bad_weight_is_not_sound(value: float) -> None:
    module = nn.BatchNorm1d(5)
    assert is_sound(module)
    module.running_var[3] = value  # type: ignore[index]
    assert not is_sound(module)


def test_metrics_are_one_object_a_line_and_resume_cuts_what_lies_past(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.log(10, loss=torch.tensor(0.5), lr=1 / 3)
    position = log.position
    log.log(20, loss=float("nan"))
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        {"images": 10, "loss": 0.5, "lr": 0.3333333},
        {"images": 20, "loss": None},
    ]
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"images": 3')  # killed while writing
    again = MetricsLog(tmp_path, position=position)
    again.log(30, loss=0.25)
    assert [line["images"] for line in read_metrics(tmp_path)] == [10, 30]
    again.cut(position)
    again.log(40, loss=1.0)
    assert [line["images"] for line in read_metrics(tmp_path)] == [10, 40]


def test_means_go_on_after_an_interruption_to_the_bit() -> None:
    values = torch.rand(9, generator=torch.Generator().manual_seed(0))
    whole, first, second = Means(), Means(), Means()
    for value in values:
        whole.add({"loss": value})
    for value in values[:4]:
        first.add({"loss": value})
    second.restore(json.loads(json.dumps(first.state())), torch.device("cpu"))
    for value in values[4:]:
        second.add({"loss": value})
    assert second.take() == whole.take()
    assert whole.state() == {}


def test_a_metric_that_is_there_now_and_then_is_averaged_over_its_own_steps() -> None:
    means = Means()
    means.add({"loss": torch.tensor(1.0), "probe": torch.tensor(4.0)})
    means.add({"loss": torch.tensor(3.0)})
    assert means.take() == {"loss": 2.0, "probe": 4.0}


def test_cadences_are_counted_in_images() -> None:
    due = [step for step in range(10) if is_due(100, step * 32, (step + 1) * 32)]
    assert due == [3, 6, 9]
    assert not any(is_due(0, step, step + 1) for step in range(10))


def test_the_clock_counts_earlier_parts_of_a_run_too() -> None:
    now = 1000.0
    clock = Clock(max_minutes=2, wall_s=100, now=lambda: now)
    assert not clock.is_over and not clock.save_is_due(1)
    now += 20
    assert clock.is_over and clock.wall_s == 120
    assert clock.lap(500) == 25
    now += 60
    assert clock.save_is_due(1) and not clock.save_is_due(0)
    clock.saved()
    assert not clock.save_is_due(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with catch_interrupts() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_precision_follows_what_the_cpu_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    declared = {"avx512_bf16": False, "amx_bf16": False, "architecture": "x86_64", "cpu_name": "Old"}
    monkeypatch.setattr(precision.torch.cpu, "get_capabilities", lambda: declared)
    assert choose_precision("auto", cpu) == "fp32"
    with pytest.raises(ConfigError, match=r"bf16 is not to be had: this CPU \(Old\) has neither AMX"):
        choose_precision("bf16", cpu)
    for name in ("avx512_bf16", "amx_bf16"):
        monkeypatch.setattr(
            precision.torch.cpu, "get_capabilities", lambda name=name: declared | {name: True}
        )
        assert choose_precision("auto", cpu) == choose_precision("bf16", cpu) == "bf16"
    assert choose_precision("fp32", cpu) == "fp32"
    with pytest.raises(ConfigError, match="unknown precision 'fp16'"):
        choose_precision("fp16", cpu)


def test_dropout_of_a_step_depends_on_seed_step_and_rank_alone() -> None:
    def mask(*key: int) -> torch.Tensor:
        seed_step(*key)
        return torch.rand(8)

    first = mask(0, 5)
    assert torch.equal(mask(0, 5), first)
    assert not any(torch.equal(mask(*key), first) for key in ((1, 5), (0, 6), (0, 5, 1)))


@pytest.mark.slow
def test_pictures_do_not_depend_on_a_matplotlibrc_in_the_current_folder(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from chimera_core.training.parts.plot import draw_progress\n"
        "draw_progress(Path('p.png'), [{'images': 1, 'loss': 2.0}, {'images': 2, 'loss': 1.0}], [['loss']], title='t')"
    )
    pictures = []
    for name, settings in (("plain", ""), ("strange", "text.usetex: True\nfigure.facecolor: red\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "matplotlibrc").write_text(settings)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        pictures.append((folder / "p.png").read_bytes())
    assert pictures[0] == pictures[1]


def test_what_torch_compiles_is_kept_in_no_shared_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    keep_compiled_code_private(tmp_path)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    keep_compiled_code_private(tmp_path)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"


def test_the_end_of_a_terminal_asks_to_stop_unless_it_is_ignored() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        for handler, expected in ((signal.SIG_DFL, True), (signal.SIG_IGN, False)):
            signal.signal(signal.SIGHUP, handler)
            with catch_interrupts() as stop:
                os.kill(os.getpid(), signal.SIGHUP)
                assert stop.requested is expected
            assert signal.getsignal(signal.SIGHUP) == handler
    finally:
        signal.signal(signal.SIGHUP, before)
