"""``chimera fuser``: layers of options, runs and files as fusers, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core.images import read_picture
from chimera_core.training.config_file import read_config

Make = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mean(tiny: Path) -> Path:
    """Make the tiny fuser visible in this process; gives the working folder."""
    return tiny


def arguments(pictures: Path, *more: object) -> list[object]:
    line: list[object] = ["fuser", "train", "mean-image", "--source", "folder", "--source.root", pictures]
    return [*line, "--preset", "quick", "--judge", "none", "--precision", "fp32", "--device", "cpu", *more]


@pytest.fixture
def run(mean: Path, pictures: Path, here: Here) -> Path:
    code, out, err = here(*arguments(pictures, "--run", "one"))
    assert code == 0, err
    assert out.endswith("runs/one\n")
    return mean / "runs" / "one"


def test_a_run_says_all_of_itself_and_its_config_runs_the_same_again(
    run: Path, mean: Path, here: Here
) -> None:
    record = json.loads((run / "run.json").read_text())
    assert (record["kind"], record["status"], record["fuser"]) == ("fuser", "done", "fakes:mean-image")
    assert record["classes"] == ["class-0", "class-1", "class-2"] and record["images"] == 80
    assert (record["accepts"], record["max_parents"], record["size"]) == (["class"], 3, 16)
    assert record["parameters"] == {"table": 3 * 3 * 16 * 16}
    config = read_config(run / "config.toml")
    assert (config["batch"], config["size"], config["judge"]) == (8, 16, "none")
    assert config["fuser"] == {
        "name": "fakes:mean-image",
        "options": {"lr": 0.2, "noise": 0.02, "tables": 1, "photos": False, "seed": 0},
    }
    code, _, err = here("fuser", "train", "--config", run / "config.toml", "--run", "two")
    assert code == 0, err
    other = mean / "runs" / "two"
    assert (other / "config.toml").read_bytes() == (run / "config.toml").read_bytes()
    weights = "checkpoints/best.safetensors"
    assert (other / weights).read_bytes() == (run / weights).read_bytes()


def test_layers_preset_then_file_then_flag_for_fuser_and_training(
    mean: Path, pictures: Path, here: Here
) -> None:
    file = mean / "mine.toml"
    file.write_text(
        'batch = 4\nimages = 40\n[fuser]\nname = "mean-image"\n[fuser.options]\nlr = 0.5\nnoise = 0.5\n'
    )
    code, _, err = here(*arguments(pictures, "--config", file, "--noise", 0.25, "--epochs", 1, "--run", "r"))
    assert code == 0, err
    config = read_config(mean / "runs" / "r" / "config.toml")
    options = config["fuser"]["options"]
    assert (options["lr"], options["noise"]) == (0.5, 0.25)
    assert (config["size"], config["batch"], config["epochs"]) == (16, 4, 1.0) and "images" not in config


def test_an_option_that_the_training_has_too_is_the_fuser_s_by_its_prefix(
    mean: Path, pictures: Path, here: Here
) -> None:
    code, _, err = here(*arguments(pictures, "--seed", 3, "--fuser.seed", 7, "--run", "r"))
    assert code == 0, err
    config = read_config(mean / "runs" / "r" / "config.toml")
    assert (config["seed"], config["fuser"]["options"]["seed"]) == (3, 7)


def test_a_run_fuses_by_name_at_its_own_size_and_says_so(run: Path, mean: Path, here: Here) -> None:
    pair = ("class-0", "class-1")
    code, _, err = here("fuse", *pair, "--fuser", "one", "--n", 2, "-o", "out.png")
    assert code == 0, err
    picture = read_picture(mean / "out-1.png")
    assert picture.rgb.shape == (16, 16, 3)
    code, out, _ = here("fuse", *pair, "--fuser", run, "--size", 40, "-o", "big.png", "--json")
    assert code == 0 and json.loads(out)["fuser"] == "one"
    assert read_picture(mean / "big.png").rgb.shape == (40, 40, 3)


def test_a_mean_learns_its_class_and_weights_mix_them(run: Path, mean: Path, here: Here) -> None:
    from chimera_core import fuse

    ends = [fuse(["class-0", "class-1"], w, fuser="one", noise=0.0).images[0] for w in ([1, 0], [0, 1])]
    half = fuse(["class-0", "class-1"], fuser="one", noise=0.0).images[0]
    # Class k is brighter in channel k by 50 / 255.
    assert ends[0][0].mean() - ends[0][1].mean() > 0.1 < ends[1][1].mean() - ends[1][0].mean()
    assert (half - (ends[0] + ends[1]) / 2).abs().max() < 1e-5


def test_an_exported_file_fuses_as_its_run_does(run: Path, mean: Path, here: Here) -> None:
    code, out, err = here("fuser", "export", "one", "-o", "mean.safetensors", "--numbers", "fp32")
    assert (code, out) == (0, "mean.safetensors\n"), err
    for fuser, name in (("one", "a.png"), ("mean.safetensors", "b.png")):
        code, _, err = here("fuse", "class-0", "class-2", "--fuser", fuser, "-o", name)
        assert code == 0, err
    assert (read_picture(mean / "a.png").rgb == read_picture(mean / "b.png").rgb).all()
