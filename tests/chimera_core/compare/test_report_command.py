"""``chimera report``: what it takes, and what it says of what it does not take."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toys.made_up_comparison import write_comparison

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> Path:
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    write_comparison(tmp_path / "runs" / "six-fusers", pairs=1, trios=0, seeds=[0], shares=[0.5], size=16)
    return tmp_path / "runs"


def one_line(err: str) -> str:
    assert err.startswith("chimera: ") and err.count("\n") == 1
    return err


@pytest.mark.slow
def test_a_name_and_a_folder_are_both_runs_and_their_pages_are_printed(runs: Path, here: Here) -> None:
    write_comparison(runs.parent / "copied", pairs=1, trios=0, seeds=[0], shares=[0.5], size=16)
    (runs.parent / "copied" / "run.json").unlink()
    code, out, err = here("report", "six-fusers", runs.parent / "copied")
    assert (code, err) == (0, "")
    pages = [runs / "six-fusers" / "report.html", runs.parent / "copied" / "report.html"]
    assert out.splitlines() == [str(page) for page in pages]
    for page in pages:
        assert (
            page.is_file() and (page.parent / "sheet.png").is_file() and (page.parent / "report.md").is_file()
        )


@pytest.mark.slow
def test_json_names_the_three_files(runs: Path, here: Here) -> None:
    code, out, _ = here("report", "six-fusers", "--json")
    (document,) = json.loads(out)
    assert code == 0
    assert {key: Path(path).name for key, path in document.items()} == {
        "report": "report.html",
        "sheet": "sheet.png",
        "markdown": "report.md",
    }
    assert all(Path(path).is_file() for path in document.values())


@pytest.mark.slow
def test_rebuilding_gives_the_same_page_again(runs: Path, here: Here) -> None:
    here("report", "six-fusers")
    before = (runs / "six-fusers" / "report.html").read_bytes()
    here("report", "six-fusers")
    assert (runs / "six-fusers" / "report.html").read_bytes() == before


def test_an_unknown_run_is_answered_with_the_nearest(runs: Path, here: Here) -> None:
    code, out, err = here("report", "six-fuser")
    assert (code, out) == (2, "")
    assert "there is no run 'six-fuser'" in one_line(err) and "did you mean 'six-fusers'?" in err


def test_a_run_of_another_kind_is_no_comparison(runs: Path, here: Here) -> None:
    (runs / "trained").mkdir()
    (runs / "trained" / "run.json").write_text('{"command": ["chimera", "fuser", "train", "gan"]}')
    code, _, err = here("report", "trained")
    assert code == 2
    assert "is a run of 'chimera fuser train gan', no comparison" in one_line(err)


def test_a_comparison_without_results_yet_says_how_to_go_on(runs: Path, here: Here) -> None:
    (runs / "six-fusers" / "comparison.json").unlink()
    code, _, err = here("report", "six-fusers")
    assert code == 2
    assert "has no comparison.json yet" in one_line(err) and "chimera compare" in err


def test_a_folder_of_something_else_says_what_it_holds(runs: Path, here: Here, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("x")
    code, _, err = here("report", tmp_path / "notes")
    assert code == 2
    assert "it holds todo.txt" in one_line(err)


@pytest.mark.timeout(60)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes among files")
def test_a_pipe_in_place_of_the_record_is_named_at_once(runs: Path, here: Here) -> None:
    (runs / "six-fusers" / "comparison.json").unlink()
    os.mkfifo(runs / "six-fusers" / "comparison.json")
    code, out, err = here("report", "six-fusers")
    assert (code, out) == (2, "")
    assert "comparison.json' cannot be read (it is a pipe or device, not a file)" in one_line(err)


def test_a_file_cut_short_is_one_line_and_of_several_runs_none_is_written(runs: Path, here: Here) -> None:
    write_comparison(runs / "other", pairs=1, trios=0, seeds=[0], shares=[0.5], size=16)
    record = runs / "other" / "comparison.json"
    record.write_bytes(record.read_bytes()[:-100])
    code, out, err = here("report", "six-fusers", "other")
    assert (code, out) == (2, "")
    assert "comparison.json' is damaged or cut short" in one_line(err)
    assert not (runs / "six-fusers" / "report.html").exists()
