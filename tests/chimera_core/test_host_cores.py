"""What is seen of cores, limits and load."""

from __future__ import annotations

from pathlib import Path

import pytest

from chimera_core.host_cores import core_limit, load_average, usable_cores


@pytest.mark.parametrize(
    ("text", "expected"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None), ("100000 0", None)]
)
def test_a_containers_limit_is_its_quota_by_its_period(
    tmp_path: Path, text: str, expected: float | None
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert core_limit(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("50000", 0.5), ("-1", None)])
def test_the_older_form_of_a_limit_is_read(tmp_path: Path, quota: str, expected: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert core_limit(tmp_path) == expected


def test_without_control_groups_there_is_no_limit_to_see(tmp_path: Path) -> None:
    assert core_limit(tmp_path) is None


def test_there_is_a_core_to_use_and_load_is_no_negative_number() -> None:
    assert usable_cores() >= 1
    load = load_average()
    assert load is None or load >= 0
