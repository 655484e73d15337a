"""A comparison without ``[reference]`` ranks by the built-in one, names it, and knows its figures by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toys.made_up_comparison import write_comparison

from chimera_core.compare.experiment.plan import check_experiment, lay_out
from chimera_core.compare.figures import scoring
from chimera_core.plugins.discovery import default_host
from chimera_core.report.page import write_report
from chimera_core.scoring import built_in_files

Write = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]
OWN = '[reference]\nsource = "folder"\noptions = { root = "." }\n[fusers.mix]'


@pytest.mark.parametrize("own", [False, True])
def test_figures_are_measured_again_by_another_built_in_reference_and_not_by_ones_own(
    own: bool, experiment: Write, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = experiment(*([("[fusers.mix]", OWN)] if own else []))
    comparison = lay_out(check_experiment(path, default_host()), place)
    before = scoring._key(comparison, comparison.tuples[0])
    monkeypatch.setitem(built_in_files.CHECKSUMS, "robust-small-64", "another")
    assert (scoring._key(comparison, comparison.tuples[0]) == before) == own


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers", "few_views")
def test_a_comparison_without_a_reference_ranks_and_names_the_built_in_one(
    experiment: Write, place: Path, here: Here
) -> None:
    path = experiment(
        ("size = 16", "size = 64"),
        ("seeds = [0, 1]", "seeds = [0]"),
        ("[[1, 0], [0.5, 0.5]]", "[[0.5, 0.5]]"),
        ('encoder = "cnn"', 'encoder = "robust-small-64"'),
        fusers='[fusers.cut-and-blend]\nfuser = "cut-and-blend"\noptions = { subject = "ellipse" }\n',
    )
    code, _, err = here("compare", path, "--jobs", "1")
    assert code == 0, err
    run = place / "runs" / "small"
    document = json.loads((run / "comparison.json").read_text())
    assert document["reference"] == {"name": "built-in", "n": 1486}
    assert len(document["ranking"]) == 4 and all(p["mean"] is not None for p in document["ranking"])
    assert "1,486 images of the built-in reference" in (run / "report.md").read_text()


def test_the_report_names_the_reference(tmp_path: Path) -> None:
    content = write_comparison(tmp_path / "c", pairs=1, trios=0, seeds=[0])
    content["reference"] = {"name": "built-in", "n": 1486}
    (tmp_path / "c" / "comparison.json").write_text(json.dumps(content))
    page = write_report(tmp_path / "c").read_text(encoding="utf-8")
    assert "1,486 images of <strong>the built-in reference</strong>" in page
