"""The benchmark of a GPU runs on a CPU, counts work by hand-computed laws, and outlives what goes wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from toys.sections import serve_by_name

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import gpu  # type: ignore[import-not-found]

    yield gpu
    for name in set(sys.modules) - before:
        if (BENCHMARKS / f"{name}.py").exists():
            del sys.modules[name]


class Here:
    """Runs sections in this process, or answers for them."""

    def __init__(self, gpu: ModuleType, answers: dict[str, Any]) -> None:
        self.gpu, self.answers, self.asked, self.closed = gpu, answers, [], False

    def run(self, name: str, device: str, *, quick: bool, seconds: float) -> dict[str, Any]:
        self.asked.append(name)
        if name in self.answers:
            return dict(self.answers[name])
        return self.gpu.run_section(name, device, quick=quick, seconds=seconds)

    def close(self) -> None:
        self.closed = True


@pytest.mark.slow
def test_a_section_is_measured_on_a_cpu_printed_and_written(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, runner = tmp_path / "found.json", Here(gpu, {})
    arguments = ["--device", "cpu", "--quick", "--only", "pgd-10", "-o", str(output)]
    assert gpu.main(arguments, runner=runner) == 0 and runner.closed
    found = json.loads(output.read_text())
    assert found["machine"]["gpu"] is None and found["machine"]["driver"] is None
    assert found["machine"]["torch"].startswith(found["versions"]["torch"])
    section = found["sections"]["pgd-10"]
    assert section["status"] == "done"
    title, speed = next(iter(section["figures"].items()))
    assert speed["value"] > 0 and speed["unit"] == "images/s"
    shown = capsys.readouterr().out
    assert title in shown and "pgd-10: done" in shown and "QUICK" in shown


def test_a_section_that_fails_is_recorded_and_does_not_stop_the_next(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = {"status": "done", "figures": {"speed": {"value": 2.5, "unit": "ms"}}}
    runner = Here(
        gpu, {"machine": gpu.failure("no driver"), "data": gpu.failure("out of memory"), "parts": done}
    )
    arguments = ["--only", "data", "--only", "parts", "-o", str(tmp_path / "found.json")]
    assert gpu.main(arguments, runner=runner) == 1
    sections = json.loads((tmp_path / "found.json").read_text())["sections"]
    assert sections["data"]["status"] == "failed" and sections["data"]["error"] == "out of memory"
    assert sections["parts"]["figures"] == {"speed": {"value": 2.5, "unit": "ms"}}
    shown = capsys.readouterr().out
    assert "out of memory" in shown and "2.5 ms" in shown and "no driver" in shown


def test_what_no_longer_fits_into_the_time_is_skipped_and_said(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = {"status": "done", "figures": {}}
    runner = Here(gpu, dict.fromkeys(gpu.SECONDS, done) | {"machine": gpu.failure("none")})
    minutes = gpu.SECONDS["data"] / 60 + 0.1
    assert gpu.main(["--most-minutes", str(minutes), "-o", str(tmp_path / "found.json")], runner=runner) == 0
    sections = json.loads((tmp_path / "found.json").read_text())["sections"]
    fitting = {name for name, needed in gpu.SECONDS.items() if needed <= gpu.SECONDS["data"]}
    assert fitting == {name for name, answer in sections.items() if answer["status"] == "done"}
    assert set(runner.asked) == {"machine"} | fitting and set(sections) == set(gpu.SECONDS)
    assert f"it may take {gpu.SECONDS['tests']} s" in capsys.readouterr().out


@pytest.mark.slow  # the imports
def test_a_section_of_an_error_gives_its_name_and_its_figures(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_sections  # type: ignore[import-not-found]

    def fail(setting: object) -> None:
        raise gpu_sections.SectionError("two tests failed", {"failed": gpu_sections.figure(2, "tests")})

    monkeypatch.setitem(gpu_sections.SECTIONS, "tests", fail)
    answer = gpu.run_section("tests", "cpu", quick=True, seconds=1)
    assert answer["status"] == "failed" and answer["error"] == "SectionError: two tests failed"
    assert answer["figures"] == {"failed": {"value": 2, "unit": "tests"}}
    assert set(gpu.SECONDS) == set(gpu_sections.SECTIONS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes are POSIX'")
def test_a_section_that_dies_or_hangs_ends_its_process_and_no_other(gpu: ModuleType) -> None:
    process = gpu.Process(serve=serve_by_name)
    try:
        run = {
            name: process.run(name, "cpu", quick=True, seconds=s) for name, s in [("one", 60), ("two", 60)]
        }
        assert run["one"] == run["two"]
        assert "status 3" in process.run("dies", "cpu", quick=True, seconds=60)["error"]
        again = process.run("one", "cpu", quick=True, seconds=60)
        assert again["status"] == "done" and again != run["one"]
        assert "not ended after 0 s" in process.run("hangs", "cpu", quick=True, seconds=0.1)["error"]
        with pytest.raises(ProcessLookupError):
            os.kill(again["figures"]["process"]["value"], 0)
    finally:
        process.close()


@pytest.mark.slow  # the imports
def test_work_is_counted_as_by_hand(gpu: ModuleType) -> None:
    import roofline  # type: ignore[import-not-found]
    import torch

    a = torch.ones(2, 3, requires_grad=True)
    b = torch.ones(3, 4)
    with roofline.Work() as work:
        made = a @ b
    (product,) = work.operations
    assert product.flops == work.flops == 2 * 2 * 3 * 4
    assert product.bytes == 4 * (2 * 3 + 3 * 4 + 2 * 4) and product.dtype == torch.float32
    with roofline.Work() as work:
        made.backward(torch.ones(2, 4))
    assert work.flops == 2 * 2 * 4 * 3  # of a alone: b needs no gradient
    x = torch.ones(10)
    with roofline.Work() as work:
        x.add_(1)
        x.view(2, 5).t()
    (added,) = work.operations
    assert added.bytes == 2 * 4 * 10 and added.flops == 0


@pytest.mark.slow  # the imports
def test_the_roofline_is_the_longer_of_arithmetic_and_traffic_operation_by_operation(gpu: ModuleType) -> None:
    import roofline
    import torch

    peaks = roofline.Peaks({torch.float32: 100.0, torch.bfloat16: 200.0}, bytes=10.0)
    work = roofline.Work()
    work.operations = [
        roofline.Operation(300, 10, torch.float32),
        roofline.Operation(400, 10, torch.bfloat16),
        roofline.Operation(0, 50, torch.float32),
    ]
    assert work.seconds_at(peaks) == 3 + 2 + 5
    assert work.arithmetic_seconds_at(peaks) == 3 + 2


@pytest.mark.slow  # the imports
def test_tests_are_counted_by_how_they_end(gpu: ModuleType, tmp_path: Path) -> None:
    from gpu_sections import count_tests

    (tmp_path / "report.xml").write_text(
        '<testsuites><testsuite><testcase classname="a" name="passes"/><testcase classname="a" name="fails">'
        '<failure>no</failure></testcase><testcase classname="a" name="breaks"><error>no</error></testcase>'
        '<testcase classname="a" name="skips"><skipped/></testcase></testsuite></testsuites>'
    )
    counts, failures = count_tests(tmp_path / "report.xml")
    assert counts == {"passed": 1, "failed": 2, "skipped": 1}
    assert failures == ["failed: a::fails", "failed: a::breaks"]
