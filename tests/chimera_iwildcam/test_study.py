"""The first report's study on a folder in iWildCam's layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest


@pytest.mark.slow
def test_a_camera_is_studied_on_its_images_of_all_official_splits(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    here: Callable[..., tuple[int, str, str]],
    settings_read_anew: None,
) -> None:
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    network = ["--encoder.widths", 4, "--encoder.hidden", 8, "--size", 16, "--epochs", 1, "--device", "cpu"]
    code, out, err = here(
        *["encoder", "study", "--preset", "report", "--source", "iwildcam", "--source.root", root, *network],
        *["--domains-first", 3, "--precision", "fp32", "--min-images", 3, "--json"],
    )
    assert code == 0, err
    table = pandas.read_csv(root / "iwildcam_v2.0" / "metadata.csv")
    found = json.loads(out)
    for number, row in enumerate(found["rows"]):
        own = table[table.location_remapped == number]
        assert row["domain"] == str(number) and row["n"] == len(own) and row["n_classes"] == own.y.nunique()
        assert (row["status"] == "ok") == (row["reason"] is None)
    assert [row["status"] for row in found["rows"]].count("ok") >= 1
    packed = [json.loads(file.read_text()) for file in (tmp_path / "cache").rglob("index.json")]
    assert sum(split["images"] for split in packed[0]["splits"].values()) == sum(
        r["n"] for r in found["rows"]
    )
    assert len(packed) == 1 and found["classes"] == 13
