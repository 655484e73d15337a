"""``chimera fuse`` by style transfer and by the default fuser: laws, outputs, machine output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import check_request
from chimera_core.images import read_notes, read_picture
from chimera_core.images.pixels import from_uint8, resize_shorter, to_uint8

QUICK = ("--size", "64", "--fuser", "style-transfer", "--iterations", "8")


@pytest.fixture
def pair(picture: Callable[..., Path]) -> tuple[Path, Path]:
    return picture("red.png", colour=(220, 30, 20)), picture("green.png", colour=(20, 180, 60))


def pixels(path: Path) -> np.ndarray:
    return read_picture(path).rgb.astype(float)


def test_the_same_request_gives_the_same_bytes(chimera: Any, here: Any, pair: Any, tmp_path: Path) -> None:
    request = ("fuse", *pair, *QUICK, "--seed", "5", "-o")
    done = chimera(*request, tmp_path / "one.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "one.png")
    code, out, err = here(*request, tmp_path / "two.png")
    assert (code, out.strip()) == (0, str(tmp_path / "two.png")), err
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="a shell's pipes")
def test_a_picture_goes_through_pipes_byte_for_byte(here: Any, pair: Any, tmp_path: Path) -> None:
    options = ("--fuser", "pixel-average", "--size", "64", "--device", "cpu")
    assert here("fuse", *pair, *options, "-o", tmp_path / "file.png")[0] == 0
    command = Path(sys.executable).parent / "chimera"
    line = f"cat red.png | '{command}' fuse - green.png {' '.join(options)} -o - > out.png"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), pixels(tmp_path / "file.png"))
    assert json.loads(read_notes(tmp_path / "out.png")["chimera.parents"]) == ["-", "green.png"]


@pytest.mark.parametrize("command", [("fuse", "a.jpg"), ("demo", "--run", "taken/demo")])
def test_waiting_threads_sleep_unless_the_user_wants_otherwise(
    here: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file where the folder should go, so that the demo ends early")
    for given, wanted in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
        if given is None:
            monkeypatch.delenv("OMP_WAIT_POLICY")
        assert here(*command)[0] == 2
        assert os.environ["OMP_WAIT_POLICY"] == wanted


def test_n_gives_different_creatures_and_the_first_is_that_of_n_1(
    here: Any, pair: Any, tmp_path: Path
) -> None:
    code, out, err = here("fuse", *pair, *QUICK, "--n", "4", "-o", tmp_path / "many.png", "--json")
    assert code == 0, err
    answer = json.loads(out)
    files = [Path(p) for p in answer["images"]]
    assert [p.name for p in files] == ["many-1.png", "many-2.png", "many-3.png", "many-4.png"]
    assert here("fuse", *pair, *QUICK, "-o", tmp_path / "one.png")[0] == 0
    assert (pixels(files[0]) == pixels(tmp_path / "one.png")).all()
    assert here("fuse", *pair, *QUICK, "--seed", "2", "-o", tmp_path / "third.png")[0] == 0
    assert (pixels(files[2]) == pixels(tmp_path / "third.png")).all()
    for k in range(4):
        for other in files[k + 1 :]:
            assert np.abs(pixels(files[k]) - pixels(other)).mean() > 0.5


def test_json_has_the_documented_keys(here: Any, pair: Any, tmp_path: Path) -> None:
    _, out, _ = here(
        "fuse", *pair, *QUICK, "--weights", ".7,.3", "--seed", "3", "-o", tmp_path / "o.png", "--json"
    )
    answer = json.loads(out)
    assert set(answer) == {
        "images",
        "fuser",
        "parents",
        "pictures",
        "weights",
        "seed",
        "device",
        "wall_s",
        "saw",
    }
    assert (answer["fuser"], answer["weights"], answer["seed"]) == ("style-transfer", [0.7, 0.3], 3)


def test_without_a_fuser_a_line_says_which_one_works_and_why(here: Any, pair: Any, tmp_path: Path) -> None:
    few = tmp_path / "few.toml"
    few.write_text("[plugins.style.options.style-transfer]\niterations = 2\n")
    line = ("--registry", few, "fuse", *pair, "--size", "32", "-o", tmp_path / "o.png", "--json")
    code, out, err = here(*line)
    assert code == 0, err
    answer = json.loads(out)
    (line,) = [line for line in err.splitlines() if line.startswith("fuser: ")]
    assert answer["fuser"] in ("parts", "style-transfer")
    assert line.startswith(f"fuser: {answer['fuser']} (") and "red" in line
    assert [seen["parent"] for seen in answer["saw"]] == ["red", "green"]
    text = read_notes(tmp_path / "o.png")
    assert (text["chimera.fuser"], text["chimera.component"]) == (answer["fuser"], "parts:auto")


def test_the_png_remembers_how_it_was_made(here: Any, pair: Any, tmp_path: Path) -> None:
    here("fuse", *pair, *QUICK, "--weights", ".7,.3", "--seed", "3", "-o", tmp_path / "o.png")
    text = read_notes(tmp_path / "o.png")
    assert json.loads(text["chimera.parents"]) == ["red.png", "green.png"]
    assert json.loads(text["chimera.weights"]) == [0.7, 0.3]
    assert (text["chimera.seed"], text["chimera.fuser"]) == ("3", "style-transfer")
    assert text["chimera.version"]
    assert json.loads(text["chimera.options"])["iterations"] == 8


def test_weight_one_on_the_first_parent_gives_its_very_pixels(here: Any, pair: Any, tmp_path: Path) -> None:
    here("fuse", *pair, *QUICK, "--weights", "1,0", "-o", tmp_path / "o.png")
    expected = to_uint8(resize_shorter(from_uint8(read_picture(pair[0]).rgb), 64))
    assert (read_picture(tmp_path / "o.png").rgb == expected).all()


def test_three_parents_make_one_creature(here: Any, pair: Any, picture: Any, tmp_path: Path) -> None:
    # Discs are no animals: where they are, and that they have no heads to keep, must be told.
    y, x = np.mgrid[:48, :64]
    disc = ((x - 32) ** 2 + (y - 24) ** 2 < 16**2).astype(np.uint8) * 255
    Image.fromarray(disc).save(tmp_path / "disc.png")
    quick = (*QUICK, "--head", "cover", *("--mask", tmp_path / "disc.png") * 3)
    third = picture("blue.png", colour=(20, 40, 230))
    assert here("fuse", *pair, third, *quick, "--weights", ".4,.6,0", "-o", tmp_path / "two.png")[0] == 0
    code, _, err = here("fuse", *pair, third, *quick, "--weights", ".4,0,.6", "-o", tmp_path / "o.png")
    assert code == 0, err
    green, blue = pixels(tmp_path / "two.png"), pixels(tmp_path / "o.png")
    middle = slice(24, 40), slice(34, 50)
    assert (blue[middle] - green[middle]).mean(axis=(0, 1))[2] > 20  # the coat's colour follows the weights


def test_a_sweep_is_a_strip_or_a_gif(here: Any, pair: Any, tmp_path: Path) -> None:
    code, _, err = here("fuse", *pair, *QUICK, "--sweep", "3", "-o", tmp_path / "strip.png")
    assert code == 0, err
    strip = Image.open(tmp_path / "strip.png")
    assert strip.width > 3 * 64
    assert here("fuse", *pair, *QUICK, "--sweep", "3", "-o", tmp_path / "way.gif")[0] == 0
    assert Image.open(tmp_path / "way.gif").n_frames == 4  # there and back


def test_a_sweep_of_real_photographs_is_smooth_and_moves_away_from_the_first(photos: Path) -> None:
    fusion = Fusion(
        check_request(
            [photos / "tabby.jpg", photos / "zebra.jpg"],
            fuser="style-transfer",
            options={"iterations": 30},
            size=96,
        )
    )
    frames = [fusion.make([1 - k / 8, k / 8], [0])[0].numpy() for k in range(9)]
    way = np.sqrt(np.square(frames[0] - frames[-1]).mean())
    steps = [np.sqrt(np.square(a - b).mean()) for a, b in pairwise(frames)]
    assert max(steps) < way / 3
    away = [np.sqrt(np.square(f - frames[0]).mean()) for f in frames]
    assert all(b > a for a, b in pairwise(away))


def test_masks_decide_what_changes(here: Any, pair: Any, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 32:] = 255
    Image.fromarray(mask).save(tmp_path / "right.png")
    command = ("fuse", *pair, *QUICK, "--size", "48", "--weights", "0,1")
    assert (
        here(*command, "--mask", tmp_path / "right.png", "--mask", "none", "-o", tmp_path / "o.png")[0] == 0
    )
    change = np.abs(pixels(tmp_path / "o.png") - pixels(pair[0])).mean(axis=2)
    assert change[:, :26].max() <= 1
    assert change[:, 38:].mean() > 5


def test_class_names_come_from_a_source(here: Any, tmp_path: Path, picture: Any) -> None:
    for name, colour in (("cat", (200, 10, 10)), ("dog", (10, 10, 200))):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(3):
            picture(f"{name}{k}.png", colour=colour).rename(tmp_path / "set" / name / f"{k}.png")
    command = ("fuse", "cat", "dog", "--source", "folder", "--source.root", tmp_path / "set", *QUICK)
    code, _, err = here(*command, "-o", tmp_path / "o.png")
    assert code == 0, err
    assert json.loads(read_notes(tmp_path / "o.png")["chimera.parents"]) == ["cat", "dog"]


def test_a_sources_options_and_an_encoders_options_appear_dotted_in_help(here: Any) -> None:
    _, out, _ = here("fuse", "--fuser", "style-transfer", "--source", "folder", "--help")
    assert "--source.root" in out
    assert "--encoder.model" in out
    _, out, _ = here("fuse", "--fuser", "style-transfer", "--preset", "report-style", "--help")
    assert "vgg19.tv_in1k" in out


def test_a_registry_presets_options_for_the_components_that_others_name(
    here: Any, pair: Any, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[plugins.style.options.style-transfer]\niterations = 3\n[plugins.timm.options.timm]\nmodel = "x"\n'
    )
    _, out, _ = here("--registry", mine, "plugins", "show", "style-transfer", "--json")
    shown = {o["flag"]: o["value"] for o in json.loads(out)[0]["options"]}
    assert shown["--iterations"] == 3
    code, _, err = here("--registry", mine, "fuse", *pair, *QUICK, "-o", tmp_path / "o.png")
    assert (code, "timm has no model 'x'" in err) == (2, True)
    assert (
        here("fuse", *pair, *QUICK, "-o", tmp_path / "o.png")[0] == 0
    )  # and it does not outlive its command


def test_plugins_list_and_source_info_print_one_json_document(here: Any, test_data: Path) -> None:
    rows = json.loads(here("plugins", "list", "--json")[1])
    keys = {"name", "kind", "plugin", "distribution", "version", "summary", "trust", "status", "error"}
    assert all(set(row) == keys for row in rows)
    assert {row["name"]: row["kind"] for row in rows}["style-transfer"] == "fusion-generator"
    info = json.loads(here("source", "info", "folder", "--root", test_data / "photos", "--json")[1])
    assert set(info) == {"name", "classes", "domains", "splits", "licence", "home_page", "unreadable"}
    assert info["splits"] == {"all": 64}


def test_preview_draws_25_images(here: Any, test_data: Path, tmp_path: Path) -> None:
    code, _, err = here("source", "preview", "folder", "--root", test_data / "pacs", "-o", tmp_path / "p.png")
    assert code == 0, err
    assert min(Image.open(tmp_path / "p.png").size) > 5 * 112


def test_doctor_says_where_settings_come_from(here: Any, monkeypatch: Any) -> None:
    found = json.loads(here("doctor", "--json")[1])
    assert {s["variable"] for s in found["settings"]} >= {
        "CHIMERA_CACHE",
        "CHIMERA_ASSETS",
        "CHIMERA_REGISTRY",
    }
    assert {p["name"] for p in found["plugins"]} >= {"folder", "timm", "style"}
    assert found["versions"]["torch"]
    assert here("doctor")[0] == 0


def test_names_of_many_creatures_are_checked_before_any_is_made(
    here: Any, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chimera_core.fusing.fusion.Fusion.make", lambda *a, **k: pytest.fail("made first"))
    (tmp_path / "out-3.png").mkdir()
    code, _, err = here("fuse", *pair, *QUICK, "--n", 4, "-o", tmp_path / "out.png")
    assert code == 2 and "out-3.png' is a folder" in err
    longest = "n" * 251 + ".png"  # fits, but not with -1
    code, _, err = here("fuse", *pair, *QUICK, "--n", 2, "-o", tmp_path / longest)
    assert code == 2 and "the name is too long" in err
    assert sorted(p.name for p in tmp_path.glob("*n-*")) == []
