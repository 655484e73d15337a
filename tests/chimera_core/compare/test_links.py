"""A stranger's comparison full of links: nothing outside it is written, removed or shown."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from toys.made_up_comparison import write_comparison

from chimera_core.compare.experiment.cells import Cell, read_record, write_record
from chimera_core.compare.experiment.parents import _place
from chimera_core.compare.figures.scoring import Scores
from chimera_core.compare.figures.tables import _copy_as_png
from chimera_core.compare.making.pool import Limits, Pool
from chimera_core.errors import DataError, RunError
from chimera_core.report.page import write_report
from chimera_core.report.pictures import _base64, choose_embedding
from chimera_core.report.reading import read_comparison

Here = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "key").write_text("precious")
    Image.new("RGB", (32, 32), (1, 2, 3)).save(folder / "private.png")
    return folder


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """Make a comparison as it comes in somebody's archive, without its report."""
    folder = tmp_path / "theirs"
    write_comparison(folder, pairs=1, trios=0, seeds=(0,), fusers=("skin", "copy"))
    return folder


def plant(link: Path, target: Path) -> None:
    if link.exists():
        link.unlink()
    link.symlink_to(target)


@pytest.mark.parametrize("name", ["report.html", "report.md", "sheet.png"])
@pytest.mark.parametrize("target", ["key", "new"])
def test_a_report_is_not_written_through_a_link(
    stranger: Path, home: Path, here: Here, name: str, target: str
) -> None:
    plant(stranger / name, home / target)
    code, out, err = here("report", stranger)
    assert (code, out) == (1, "") and f"{name}': it is or lies behind a link that leaves" in err
    assert (home / "key").read_text() == "precious" and not (home / "new").exists()
    assert not [
        f for f in ("report.html", "report.md", "sheet.png") if (stranger / f).is_file() and f != name
    ]


@pytest.mark.parametrize("name", ["config.toml", "run.json", "comparison.json"])
def test_a_private_file_behind_a_link_is_not_shown(stranger: Path, home: Path, here: Here, name: str) -> None:
    content = (stranger / name).read_text() if (stranger / name).exists() else 'token = "s3cret"\n'
    (home / name).write_text(content)
    plant(stranger / name, home / name)
    code, out, err = here("report", stranger)
    assert (
        (code, out) == (2, "") and "is not read: it is or lies behind a link" in err and "s3cret" not in err
    )
    assert not (stranger / "report.html").exists()


@pytest.mark.slow
def test_a_private_picture_behind_a_link_is_left_out(stranger: Path, home: Path) -> None:
    document = json.loads((stranger / "comparison.json").read_text())
    first = next(cell for cell in document["cells"] if cell["image"])
    without = write_report(stranger).read_text()
    plant(stranger / first["image"], home / "private.png")
    page = write_report(stranger).read_text()
    assert "leaves its folder" in page and "leaves its folder" not in without
    private, _ = _base64(home, "private.png", choose_embedding(stranger, read_comparison(stranger)))
    assert private is not None and private not in page


@pytest.mark.slow
def test_pictures_behind_a_folder_that_is_a_link_are_left_out(stranger: Path, home: Path) -> None:
    for picture in (stranger / "cells").iterdir():
        picture.rename(home / picture.name)
    (stranger / "cells").rmdir()
    (stranger / "cells").symlink_to(home)
    assert "leaves its folder" in write_report(stranger).read_text()


def test_a_worker_does_not_write_its_log_through_a_link(tmp_path: Path, home: Path) -> None:
    from chimera_core.compare.making.pool import Group

    (tmp_path / "run" / "cells").mkdir(parents=True)
    plant(tmp_path / "run" / "worker-0.log", home / "key")
    group = Group("f", "p", {"folder": str(tmp_path / "run")}, [{"id": "a"}])
    with pytest.raises(RunError, match=r"worker-0\.log': it is a link: remove it"):
        Pool(tmp_path / "run", 1, Limits(5.0)).run([group])
    assert (home / "key").read_text() == "precious"


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cells", "cells': it is or lies behind a link"),
        ("results.csv", "results.csv': it is or lies behind a link"),
    ],
)
def test_a_comparison_does_not_write_through_links(
    experiment: Write,
    place: Path,
    home: Path,
    here: Here,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    message: str,
) -> None:
    monkeypatch.setattr("chimera_core.compare.run.score_cells", lambda *a, **k: (Scores(), 0))
    run = place / "run"
    run.mkdir()
    (run / "run.json").write_text('{"kind": "comparison", "experiment": "small"}')
    plant(run / name, home if name == "cells" else home / "key")
    code, _, err = here("compare", experiment(), "--run", run, "--jobs", "1")
    assert code == 1 and message in err and err.count("Traceback") == 0
    assert sorted(p.name for p in home.iterdir()) == ["key", "private.png"]
    assert (home / "key").read_text() == "precious"


def test_the_record_and_picture_of_a_cell_do_not_count_behind_links(tmp_path: Path, home: Path) -> None:
    run, cell = tmp_path / "run", Cell("abc", "mix", 0, (0.5, 0.5), 0, 0, ())
    (run / "cells").mkdir(parents=True)
    write_record(run, cell, status="ok")
    plant(run / "cells" / "abc.png", home / "private.png")
    assert read_record(run, "abc") is None
    (run / "cells" / "abc.png").unlink()
    Image.new("RGB", (8, 8)).save(run / "cells" / "abc.png")
    assert read_record(run, "abc") is not None
    (run / "cells" / "abc.json").rename(home / "abc.json")
    plant(run / "cells" / "abc.json", home / "abc.json")
    assert read_record(run, "abc") is None
    with pytest.raises(RunError):
        write_record(run, cell, status="ok")


def test_drawn_parents_lie_in_their_folder_or_where_the_experiment_names_them(
    tmp_path: Path, home: Path
) -> None:
    folder = tmp_path / "run" / "parents"
    folder.mkdir(parents=True)
    mine = str(home / "private.png")
    assert _place(folder, mine, [(mine, "lion")]) == Path(mine)
    assert _place(folder, "0-1.png", []) == folder / "0-1.png"
    plant(folder / "0-2.png", home / "private.png")
    for name in (mine, "../../home/private.png", "0-2.png"):
        with pytest.raises(DataError):
            _place(folder, name, [])


def test_a_parents_picture_is_not_copied_through_a_link(tmp_path: Path, home: Path) -> None:
    (tmp_path / "run").mkdir()
    plant(tmp_path / "run" / "0-0.png", home / "key")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(RunError):
        _copy_as_png(tmp_path / "a.png", tmp_path / "run" / "0-0.png")
    assert (home / "key").read_text() == "precious"
