"""``chimera library``, and names as parents of ``chimera fuse``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chimera_core import fuse
from chimera_core.errors import DataError
from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import check_request
from chimera_core.images import read_mask, read_notes, read_picture
from chimera_core.library.folder import Library
from chimera_core.library.lookup import find_pictures
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring.plan import plan_score

Here = Callable[..., tuple[int, str, str]]
Picture = Callable[..., Path]
QUICK = ("--fuser", "pixel-average", "--size", "32")


@pytest.fixture
def place(
    root: Path, stamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None
) -> Path:
    """Work in a folder with this test's library and stamps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHIMERA_LIBRARY", str(root))
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "registry.toml").write_text(f'[collections.tuxpaint]\nfolders = ["{stamps}"]\n')
    return tmp_path


def test_a_picture_is_added_listed_shown_fused_and_removed(place: Path, here: Here, picture: Picture) -> None:
    terms = ("--licence", "CC0-1.0", "--attribution", "A. Person", "--from", "https://x.test")
    code, out, err = here("library", "add", "Golden Eagle", picture("a.png"), *terms)
    assert (code, err) == (0, "")
    added = Path(out.strip())
    code, out, _ = here("library", "list", "--json")
    assert {"name": "golden_eagle", "collection": "library", "pictures": 1} in json.loads(out)
    (row,) = json.loads(here("library", "show", "eagle", "--json")[1])
    assert (row["name"], row["file"], row["licence"]) == ("golden_eagle", str(added), "CC0-1.0")
    assert "golden_eagle" in here("library", "list")[1] and "CC0-1.0" in here("library", "show", "eagle")[1]
    code, out, err = here("fuse", "cat", "eagle", *QUICK, "-o", "out.png", "--json")
    assert code == 0, err
    assert err.splitlines()[:2] == [
        "cat: chelsea.png of scikit-image (CC0-1.0)",
        f"eagle: golden_eagle, {added.name} of the library (CC0-1.0)",
    ]
    answer = json.loads(out)
    assert answer["parents"] == ["cat", "eagle"]
    assert answer["pictures"][1] == {
        "name": "eagle",
        "file": str(added),
        "collection": "library",
        "licence": "CC0-1.0",
        "attribution": "A. Person",
        "source": "https://x.test",
    }
    text = read_notes(place / "out.png")
    assert json.loads(text["chimera.parents"]) == ["cat", "eagle"]
    credits = json.loads(text["chimera.attribution"])
    assert [c["file"] for c in credits] == ["chelsea.png", added.name]
    assert [c["licence"] for c in credits] == ["CC0-1.0", "CC0-1.0"]
    assert here("library", "remove", "golden-eagle")[:2] == (0, f"removed {added}\n")
    code, _, err = here("fuse", "cat", "eagle", *QUICK)
    assert code == 2 and err.startswith("chimera: there is no picture of 'eagle'") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["library", "add", "../x", "a.png"], "is not a name"),
        (["library", "add", "cat", "gone.png"], "there is no file 'gone.png'"),
        (["library", "add", "cat", "library.txt"], "library.txt"),
        (["library", "remove", "cat"], "the library has no pictures of 'cat'"),
        (["library", "show", "girafe"], "did you mean 'giraffe'?"),
        (["library", "fetch", "../../etc"], "is not a name"),
        (["fuse", "horse", "a:b"], "'a:b' is not a name"),
        (["fuse", "horse", "unicorn"], "`chimera library fetch unicorn`"),
        (["fuse", "horse", "x" * 300], "is too long for a name"),
        (["fuse", "horse", "x" * 300 + ".png"], "too long"),
        (["fuse", "horse", "x" * 300, "--fuser", "person-cat"], "knows no class"),
        (["fuse", "person", "unicorn"], "there is no picture of 'unicorn'"),
        (["fuse", "horse", "unicorn.png"], "there is no file 'unicorn.png'"),
        (["fuse", "horse", "cat", "--fuser", "person-cat"], "knows no class 'horse'"),
        (["fuse", "horse", "cat", "--fuser", "gan"], "must be trained first"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    place: Path, here: Here, picture: Picture, line: list[str], expected: str
) -> None:
    picture("a.png")
    (place / "library.txt").write_text("no picture")
    code, out, err = here(*line)
    assert (code, out) == (2, "") and expected in err and len(err.splitlines()) == 1, err
    assert not (place / "library").exists()


def test_a_models_classes_stay_classes_and_one_unknown_name_makes_pictures_of_all(place: Path) -> None:
    host = default_host()
    assert check_request(["person", "cat"], host=host).fuser.label == "faces-128"
    plan = check_request(["person", "horse"], host=host)
    assert plan.fuser.trained is None and plan.named == ("person", "horse")
    assert [Path(p).name for p in plan.parents] == ["astronaut.png", "horse.png"]


def test_a_picture_by_name_brings_its_outline_unless_a_mask_is_given(place: Path) -> None:
    request = partial(check_request, ["astronaut", "cat"], fuser="pixel-average", size=32)
    first, second = request().masks
    assert first == "auto" and Path(second).name == "chelsea.png"
    assert request(masks=["none", "auto"]).masks == ("none", "auto")


def test_files_and_names_may_be_mixed_and_a_cut_outs_alpha_is_its_mask(place: Path, picture: Picture) -> None:
    plan = check_request([picture("a.png"), "horse"], fuser="pixel-average", size=32)
    assert [found and found.name for found in plan.pictures] == [None, "horse"]
    photograph, stamp = Fusion(plan).parents(0)
    assert photograph.mask is None and stamp.name == "horse"
    assert stamp.mask is not None and 0.1 < float(stamp.mask.mean()) < 0.3


@pytest.mark.slow
def test_the_first_seed_picks_the_picture_for_the_whole_call(place: Path) -> None:
    def lion(**request: Any) -> str:
        return check_request(["lion", "horse"], fuser="pixel-average", **request).parents[0]

    assert lion(seed=0) != lion(seed=1)
    assert lion(seed=0) == lion(seed=2)
    options: dict[str, Any] = {"fuser": "pixel-average", "size": 32}
    three = fuse(["lion", "horse"], n=3, seed=1, **options)
    assert [p.file for p in three.pictures] == [
        p.file for p in fuse(["lion", "horse"], seed=1, **options).pictures
    ]
    assert three.parents == ("lion", "horse")


def test_fuse_fetches_only_when_it_is_asked_to(
    place: Path, here: Here, root: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(name: str, **_: Any) -> list[Path]:
        asked.append(name)
        return [Library(root).add(name, picture("a.png"))]

    monkeypatch.setattr("chimera_core.cli._pictures.fetch_into_library", fetch)
    monkeypatch.setattr("chimera_core.fusing.fusion.fetch_into_library", fetch)
    assert here("fuse", "horse", "okapi", *QUICK)[0] == 2 and asked == []
    code, _, err = here("fuse", "horse", "okapi", *QUICK, "--fetch", "-o", "out.png")
    assert code == 0 and asked == ["okapi"], err
    assert "okapi: a-" in err
    fuse(["horse", "quagga"], fuser="pixel-average", size=32, fetch=True)
    assert asked == ["okapi", "quagga"]
    assert here("library", "fetch", "zorilla")[0] == 0 and asked[2:] == ["zorilla"]


def test_pictures_are_listed_unopened(
    place: Path, root: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "animal_9").mkdir(parents=True)
    (root / "animal_9/x.jpg").touch()
    monkeypatch.delattr("PIL.Image.open")
    for flags in ((), ("--json",)):
        code, out, _ = here("library", "list", *flags)
        assert code == 0 and "animal_9" in out


@pytest.mark.slow
def test_a_fresh_install_fuses_astronaut_and_cat_offline(
    chimera: Any, tmp_path: Path, no_network: None
) -> None:
    environ = os.environ | {"CHIMERA_LIBRARY": str(tmp_path / "none"), "HOME": str(tmp_path)}
    quick = ("--size", "64", "-o", "out.png")
    done = chimera("fuse", "astronaut", "cat", *quick, cwd=tmp_path, env=environ)
    assert done.returncode == 0, done.stderr
    assert "astronaut: astronaut.png of scikit-image (public domain)" in done.stderr.splitlines()
    assert min(read_picture(tmp_path / "out.png").rgb.shape[:2]) == 64
    assert sorted(os.listdir(tmp_path)) == ["out.png"]


@pytest.mark.slow
def test_stamps_that_are_installed_are_fused_by_name(chimera: Any, tmp_path: Path) -> None:
    if not Path("/usr/share/tuxpaint/stamps/animals").is_dir():
        pytest.skip("Tux Paint's stamps are not installed (tuxpaint-stamps-default)")
    names = ("horse", "rooster", "giraffe")
    done = chimera("fuse", *names, *QUICK, "-o", "out.png", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [p["collection"] for p in json.loads(done.stdout)["pictures"]] == ["tuxpaint"] * 3
    assert np.ptp(read_picture(tmp_path / "out.png").rgb) > 50


@pytest.mark.parametrize("wrong", ["a file", "a mask"])
def test_pictures_are_looked_at_only_when_the_rest_of_the_request_is_right(place: Path, wrong: str) -> None:
    def look(pictures: object) -> list[float | None]:
        raise AssertionError("looked at")

    second, masks = ("gone.png", ()) if wrong == "a file" else ("cat", ("gone.png",))
    with pytest.raises(DataError, match=r"gone\.png"):
        check_request(["lion", second], masks=masks, visibility=look)


@pytest.mark.slow
def test_of_several_pictures_fuse_takes_the_one_that_shows_most_and_remembers(
    place: Path, here: Here
) -> None:
    from skimage import data

    cat = Image.fromarray(data.chelsea())
    cat.save(place / "face.png")
    cat.crop((340, 150, 451, 300)).resize((555, 750)).save(place / "fur.png")
    assert here("library", "add", "kitten", place / "face.png", place / "fur.png")[0] == 0
    request = ("fuse", "astronaut", "kitten", *QUICK, "-o", "out.png", "--json")
    code, out, err = here(*request)
    assert code == 0, err
    assert Path(json.loads(out)["pictures"][1]["file"]).name.startswith("face-")
    memory = place / "cache/looked-at/pictures.json"
    before = memory.stat()
    assert here(*request)[1].split('"wall_s"')[0] == out.split('"wall_s"')[0]
    code, out, _ = here(*request, "--seed", "1")
    assert Path(json.loads(out)["pictures"][1]["file"]).name.startswith("fur-")
    after = memory.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    found = fuse(["astronaut", "kitten"], fuser="pixel-average", size=32).pictures[1]
    assert found.file.name.startswith("face-")


def test_what_is_scored_is_the_pictures_of_the_names_with_their_outlines(place: Path) -> None:
    plan = plan_score(
        ["pixel-average"],
        parents=["horse", "cat"],
        weights=[],
        judges=[],
        reference=None,
        source=None,
        source_options={},
        preset=None,
        count=1,
        seed=0,
        size=64,
        fuse_size=None,
        device="cpu",
        host=default_host(),
    )
    assert [Path(p).name for p in plan.parents] == ["horse.png", "chelsea.png"]
    assert plan.masks[0] == "auto" and Path(plan.masks[1]).parts[-2:] == ("masks", "chelsea.png")


@pytest.mark.slow
def test_a_judge_is_shown_the_outline_that_comes_with_a_picture(place: Path) -> None:
    from chimera_core.scoring.pictures import parent_of_file

    (cat,) = find_pictures(["cat"], host=default_host())
    own, found = parent_of_file(cat.file, mask=cat.mask).masks, parent_of_file(cat.file).masks
    assert own is not None and found is not None and not torch.equal(own, found)
    assert (
        cat.mask is not None and abs(float(own.mean()) - read_mask(cat.mask)[:, 75:376].mean() / 255) < 0.02
    )


def test_doctor_shows_where_the_library_lies(place: Path, here: Here, root: Path) -> None:
    settings = {s["name"]: s for s in json.loads(here("doctor", "--json")[1])["settings"]}
    assert (settings["library"]["value"], settings["library"]["origin"]) == (str(root), "CHIMERA_LIBRARY")


def test_a_demo_without_its_photographs_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.setattr("chimera_core.library.collections.ShippedPictures.pictures", lambda self: {})
    monkeypatch.chdir(tmp_path)
    code, _, err = here("demo")
    assert code == 2 and "'astronaut' is not there: install scikit-image again" in err, err
    assert "Traceback" not in err and not list(tmp_path.rglob("*.png"))
