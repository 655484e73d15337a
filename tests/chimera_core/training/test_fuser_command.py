"""``chimera fuser``: layers of options, runs and files as fusers, bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core.fusing.weights import triangle_weights
from chimera_core.images import read_picture
from chimera_core.runs.config import read_config
from chimera_core.training.parts.metrics import TIMINGS, read_metrics

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
def run(mean: Path, pictures: Path, here: Here, train_once: Callable[..., Path]) -> Path:
    return train_once(mean, lambda: here(*arguments(pictures, "--run", "one")))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_file_may_name_the_preset_and_nothing_unknown(mean: Path, pictures: Path, here: Here) -> None:
    file = mean / "mine.toml"
    table = f'judge = "none"\n[source]\nname = "folder"\noptions.root = "{pictures}"\n[fuser]\nname = "mean-image"\n'
    file.write_text(table + 'preset = "quick"\n')
    code, _, err = here("fuser", "train", "--config", file, "--run", "r")
    assert code == 0, err
    assert read_config(mean / "runs" / "r" / "config.toml")["size"] == 16
    file.write_text(table + 'presett = "quick"\n')
    code, _, err = here("fuser", "train", "--config", file, "--run", "s")
    assert code == 2 and "line 7: fuser.presett is unknown (did you mean 'preset'?)" in err


@pytest.mark.slow
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
    code, out, err = here("fuser", "export", "one", "-o", "mean.safetensors", "--dtype", "fp32")
    assert (code, out) == (0, "mean.safetensors\n"), err
    for fuser, name in (("one", "a.png"), ("mean.safetensors", "b.png")):
        code, _, err = here("fuse", "class-0", "class-2", "--fuser", fuser, "-o", name)
        assert code == 0, err
    assert (read_picture(mean / "a.png").rgb == read_picture(mean / "b.png").rgb).all()


BAD_TRAINING: dict[str, tuple[list[object], str]] = {
    "no fuser": (["fuser", "train", "--source", "folder"], "say which fuser: chimera fuser train NAME"),
    "no source": (["fuser", "train", "mean-image"], "say which source: --source NAME"),
    "unknown fuser": (["fuser", "train", "mean-imge"], "did you mean 'mean-image'?"),
    "needs no training": (
        ["fuser", "train", "style-transfer", "--source", "folder", "--source.root", "PICTURES"],
        "fuser style-transfer needs no training: use it by `chimera fuse`",
    ),
    "unknown preset": (["fuser", "train", "mean-image", "--source", "folder", "--preset", "qick"], "'quick'"),
    "unknown judge": (["TRAIN", "--judge", "timmm"], "no feature-encoder is named 'timmm'"),
    "wrong option of the fuser": (["TRAIN", "--lr", -1], "-1.0 is not in the range x>0"),
    "wrong option of the training": (["TRAIN", "--batch", 0], "'--batch': 0 is not in the range x>=1"),
    "length twice": (["TRAIN", "--epochs", 1, "--images", 8], "give --images or --epochs, not both"),
    "batch too large": (["TRAIN", "--batch", 100], "a batch of 100 images is more than there are (72)"),
    "one image to judge by": (
        ["TRAIN", "--source.root", "FEW", "--judge", "tiny"],
        "split val has 1 image, and quality is measured by 2 or more: name another --val-split, or take --judge none",
    ),
    "one class": (["TRAIN", "--source.root", "ONE"], "there is one only: give it two or more"),
    "begin from nothing": (
        ["TRAIN", "--init-from", "none"],
        "there is no run, exported file or model 'none' to begin from: check --init-from",
    ),
    "begin from a model of another fuser": (
        ["TRAIN", "--init-from", "person-cat"],
        "--init-from person-cat: it is one of gan:gan, not of fakes:mean-image",
    ),
    "nothing to resume": (["TRAIN", "--resume", "--run", "none"], "there is no run 'none' to resume"),
    "nothing to export": (["fuser", "export", "none", "-o", "x.safetensors"], "there is no run 'none'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD_TRAINING)
def test_bad_input_to_train_is_one_line_and_exit_2_and_leaves_nothing(
    what: str, mean: Path, pictures: Path, make_pictures: Make, here: Here
) -> None:
    line, expected = BAD_TRAINING[what]
    if "ONE" in line:
        make_pictures(mean / "ONE", classes=1, train=10, val=4)
    if "FEW" in line:
        make_pictures(mean / "FEW", classes=1, train=10, val=1)
    if line[0] == "TRAIN":
        line = arguments(pictures, *line[1:])
    code, out, err = here(*(pictures if word == "PICTURES" else word for word in line))
    assert code == 2 and out == ""
    assert expected in err.splitlines()[-1]
    assert len([line for line in err.splitlines() if line.startswith("chimera: ")]) == 1
    assert not (mean / "runs").exists()


BAD_FUSING: dict[str, tuple[list[object], str]] = {
    "unknown class": (["class-0", "clas-1"], "run one knows no class 'clas-1'"),
    "photograph for a fuser of classes": (
        ["class-0", "PHOTO"],
        "run one takes class names, not photographs: leave out",
    ),
    "no such photograph": (["class-0", "gone.png"], "there is no file 'gone.png'"),
    "too many parents": (["class-0"] * 4, "run one takes 3 parents at most, but 4 were given"),
    "a source for a fuser of classes": (
        ["class-0", "class-1", "--source", "folder"],
        "run one knows its classes by itself: leave out --source",
    ),
    "another preset": (["class-0", "class-1", "--preset", "quick"], "leave out --preset"),
    "weights of another network": (
        ["class-0", "class-1", "--tables", 2],
        "run one: the means: 'means' has shape (3, 3, 16, 16), but the model needs (6, 3, 16, 16)",
    ),
    "untrained component": (
        ["class-0", "class-1", "--fuser", "mean-image"],
        "mean-image must be trained first: `chimera fuser train mean-image`",
    ),
    "classes that no model knows": (
        ["class-0", "class-1", "--fuser", ""],
        "there is no picture of 'class-0'",
    ),
}


@pytest.mark.parametrize("what", BAD_FUSING)
def test_bad_input_to_fuse_is_one_line_and_exit_2(what: str, run: Path, pictures: Path, here: Here) -> None:
    line, expected = BAD_FUSING[what]
    words = [pictures / "train/class-0/0.png" if word == "PHOTO" else word for word in line]
    if "--fuser" not in words:
        words += ["--fuser", "one"]
    elif words[-1] == "":
        words = words[:-2]
    code, out, err = here("fuse", *words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and expected in err, err


def spoil_record(run: Path, **changes: Any) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, **changes}))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "not trained yet": (
        lambda run: (run / "checkpoints/best.safetensors").unlink(),
        "run 'one' has not been trained yet (its status is done): train on with `chimera fuser train",
    ),
    "weights cut short": (
        lambda run: (run / "checkpoints/best.safetensors").write_bytes(b"\1" * 50),
        "is damaged",
    ),
    "no config": (lambda run: (run / "config.toml").unlink(), "config.toml does not exist"),
    "bad record": (lambda run: spoil_record(run, classes=3), "run.json' is damaged"),
    "another kind": (lambda run: spoil_record(run, kind="encoder"), "is not a training of a fuser"),
    "encoder gone": (
        lambda run: (run / "config.toml").open("a").write('[fuser.options.encoder]\nname = "gone"\n'),
        "run one needs the encoder 'gone' (its option encoder), which is not a run, model or component here",
    ),
    "another fuser": (
        lambda run: (run / "config.toml").write_text(
            (run / "config.toml").read_text().replace("fakes:mean-image", "fakes:gone")
        ),
        "no fusion-generator is named 'fakes:gone'",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_run_that_cannot_be_used_is_one_line(what: str, run: Path, here: Here) -> None:
    spoil, expected = DAMAGE[what]
    spoil(run)
    code, out, err = here("fuse", "class-0", "class-1", "--fuser", "one")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and expected in err, err


@pytest.mark.slow
def test_a_mistake_about_a_run_costs_no_torch(run: Path, mean: Path, tiny_site: Path) -> None:
    code = """
import sys
from chimera_core.cli.root import run
print(run(["fuse", "class-0", "clas-1", "--fuser", "one"]), "torch" in sys.modules)
"""
    environ = {**os.environ, "PYTHONPATH": str(tiny_site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=mean, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "2 False\n", done.stderr
    assert "run one knows no class 'clas-1'" in done.stderr


@pytest.mark.slow
def test_a_run_cut_off_at_a_checkpoint_ends_at_the_same_bytes(mean: Path, pictures: Path, here: Here) -> None:
    often = ("--checkpoint-images", 16, "--keep", 20, "--log-images", 8)
    code, _, err = here(*arguments(pictures, *often, "--run", "whole"))
    assert code == 0, err
    whole, cut = mean / "runs/whole", mean / "runs/cut"
    shutil.copytree(whole, cut)
    for file in (cut / "checkpoints").iterdir():
        if file.stem == "best" or int(file.stem) > 48:
            file.unlink()
    shutil.rmtree(cut / "samples")
    code, _, err = here("fuser", "train", "--run", "cut", "--resume")
    assert code == 0, err
    assert "going on from 48 images" in err
    for name in (
        "checkpoints/000000080.safetensors",
        "checkpoints/best.safetensors",
        "samples/000000080.png",
    ):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    lines = [
        [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(folder)]
        for folder in (whole, cut)
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 10


def test_a_file_of_options_may_name_a_run(run: Path, mean: Path, here: Here) -> None:
    (mean / "fuse.toml").write_text(
        'parents = ["class-0", "class-1"]\nsweep = 3\noutput = "way.png"\n'
        '[fuser]\nname = "one"\noptions = { noise = 0.0 }\n'
    )
    code, _, err = here("fuse", "--config", "fuse.toml")
    assert code == 0, err
    (mean / "fuse.toml").write_text('parents = ["a", "b"]\n[fuser]\nname = "one"\noptions = { nose = 0.0 }\n')
    code, _, err = here("fuse", "--config", "fuse.toml")
    assert code == 2 and "has no option 'nose'" in err


def test_three_parents_fill_a_triangle(run: Path, mean: Path, here: Here) -> None:
    parents = ("class-0", "class-1", "class-2")
    code, _, err = here("fuse", *parents, "--fuser", "one", "--triangle", 3, "-o", "triangle.png")
    assert code == 0, err
    sheet = read_picture(mean / "triangle.png").rgb
    # Six creatures of 16 px: one above two above three, the top one in the middle.
    is_drawn = (sheet < 250).any(2).any(0)
    assert sheet.shape[1] == 3 * (16 + 12) + 12 and is_drawn[sheet.shape[1] // 2]
    first, _, _ = triangle_weights(3)
    assert first == [(1.0, 0.0, 0.0)]
    assert triangle_weights(3)[2] == [(0.0, 1.0, 0.0), (0.0, 0.5, 0.5), (0.0, 0.0, 1.0)]
    assert all(sum(weights) == pytest.approx(1) for row in triangle_weights(7) for weights in row)


def test_resume_goes_on_further_and_refuses_other_options(run: Path, here: Here) -> None:
    resume = ("fuser", "train", "--run", "one", "--resume")
    code, _, err = here("fuser", "train", "mean-image", *resume[2:], "--lr", 0.1)
    assert code == 2 and "the run was started with fuser.lr 0.2, not 0.1" in err
    code, _, err = here(*resume, "--batch", 4)
    assert code == 2 and "the run was started with batch 8, not 4" in err
    code, _, err = here("fuser", "train", "style-transfer", *resume[2:], "--images", 96)
    assert code == 2 and "the run was started with fuser fakes:mean-image, not style:style-transfer" in err
    code, _, err = here(*resume, "--images", 160)
    assert code == 0, err
    assert "going on from 80 images" in err
    assert json.loads((run / "run.json").read_text())["images"] == 160


def test_a_run_may_begin_with_the_networks_of_another(run: Path, pictures: Path, here: Here) -> None:
    begin = ("--init-from", "one", "--images", 8, "--lr", 1e-9)
    code, _, err = here(*arguments(pictures, *begin, "--run", "two"))
    assert code == 0, err
    from chimera_core import fuse

    one, two = (fuse(["class-0", "class-1"], fuser=name).images for name in ("one", "two"))
    assert (one - two).abs().max() < 1e-5
    code, _, err = here(*arguments(pictures, *begin, "--tables", 2, "--run", "three"))
    assert code == 2 and "--init-from one: the checkpoint's table: 'means' has shape" in err.splitlines()[-1]
    assert not (run.parent / "three").exists()


def test_dry_run_counts_and_writes_nothing(mean: Path, pictures: Path, here: Here) -> None:
    code, out, err = here(*arguments(pictures, "--dry-run", "--json"))
    assert code == 0, err
    found = json.loads(out)
    assert found["parameters"] == {"table": 2304} and found["bytes"]["weights"] == 4 * 2304
    assert found["bytes"]["total"] == 4 * 4 * 2304 and found["images_per_s"] > 0
    assert (found["train_images"], found["steps"], found["size"]) == (72, 10, 16)
    assert not (mean / "runs").exists() and not (mean / "cache").exists()


@pytest.mark.slow
def test_two_processes_train_as_one(
    run: Path, mean: Path, pictures: Path, fork_server: Callable[..., Any], tiny_site: Path
) -> None:
    words = [str(word) for word in arguments(pictures, "--run", "both")]
    environ = {**os.environ, "PYTHONPATH": str(tiny_site)}
    server = fork_server(sys.executable, environ)
    for process in server.start_together(words, 2, cwd=mean, environ=environ):
        _, err = process.communicate()
        assert process.returncode == 0, err
    from chimera_core import fuse

    one, both = (fuse(["class-0", "class-1"], fuser=name).images for name in ("one", "both"))
    assert (one - both).abs().max() < 1e-4


@pytest.mark.slow
def test_photographs_are_parents_of_a_run_that_takes_them(mean: Path, pictures: Path, here: Here) -> None:
    code, _, err = here(*arguments(pictures, "--photos", "--run", "p"))
    assert code == 0, err
    assert json.loads((mean / "runs/p/run.json").read_text())["accepts"] == ["class", "photo"]
    from chimera_core import fuse

    photo = pictures / "val/class-2/0.png"
    made = fuse([photo, "class-0"], [1, 0], fuser="p", noise=0.0).images[0]
    from chimera_core.images.pixels import from_uint8

    assert (made - from_uint8(read_picture(photo).rgb)).abs().max() < 1 / 255
    # With --source a class name is an image of that class, drawn by the seed.
    source = {"source": "folder", "source_options": {"root": str(pictures)}}
    drawn = [
        fuse(["class-0", "class-1"], [1, 0], fuser="p", noise=0.0, seed=s, **source).images for s in (0, 1)
    ]
    assert (drawn[0] - drawn[1]).abs().max() > 0.05


@pytest.mark.parametrize(
    ("fuser", "more", "message"),
    [
        (
            "style:style-transfer",
            {},
            "file strange.safetensors names the fuser style:style-transfer, which learns nothing",
        ),
        (
            "gan:gan",
            {"classes": [f"c{k}" for k in range(200_000)], "size": 64},
            "file strange.safetensors: what was learned has no tensor",
        ),
    ],
)
def test_a_strange_file_is_refused_before_anything_is_built_or_brought(
    run: Path, mean: Path, here: Here, pictures: Path, fuser: str, more: dict[str, Any], message: str
) -> None:
    import safetensors
    from safetensors.torch import save_file

    here("fuser", "export", "one", "-o", "creature.safetensors")
    with safetensors.safe_open(mean / "creature.safetensors", "pt") as file:
        header = json.loads(file.metadata()["chimera"])
    header |= {"fuser": fuser, "options": {}, "accepts": ["photo", "class"], **more}
    save_file({"x": torch.zeros(1)}, mean / "strange.safetensors", metadata={"chimera": json.dumps(header)})
    photo = pictures / "val/class-2/0.png"
    code, _, err = here("fuse", photo, photo, "--fuser", "strange.safetensors", "-o", "out.png")
    assert code == 2 and err.startswith(f"chimera: {message}"), err
    assert not (mean / "out.png").exists()


def test_what_an_exported_fuser_asks_for_is_brought_with_leave_alone(
    run: Path, mean: Path, here: Here, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimera_core.api import check_may_download
    from chimera_core.testing.fakes.mean_image import MeanImage

    brought = []

    def fuse(self: MeanImage, parents: Any, *rest: Any, seeds: Any, size: int) -> torch.Tensor:
        check_may_download("the weights of everything")
        brought.append(1)
        return torch.zeros(len(seeds), 3, size, size)

    here("fuser", "export", "one", "-o", "creature.safetensors")
    monkeypatch.setattr(MeanImage, "fuse", fuse)
    words = ("fuse", "class-0", "class-1", "-o", "out.png", "--fuser")
    code, _, err = here(*words, "creature.safetensors")
    assert code == 2 and not brought
    assert err == (
        "chimera: file creature.safetensors asks for the weights of everything, to be downloaded: "
        "add --fetch if you trust the file\n"
    )
    for more in (("creature.safetensors", "--fetch"), ("one",)):
        code, _, err = here(*words, *more)
        assert code == 0, err
    assert len(brought) == 2


def test_plugin_and_name_never_mean_a_folder_and_a_run_that_goes_before_a_component_is_said(
    run: Path, mean: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from chimera_core.components.trained import _warn_shadowed, find_trained
    from chimera_core.plugins.discovery import default_host

    _warn_shadowed.cache_clear()
    shutil.copytree(run, mean / "timm:timm")
    shutil.copytree(run, mean / "timm")
    assert find_trained(default_host(), "feature-encoder", "timm:timm") is None
    for _ in range(2):
        found = find_trained(default_host(), "feature-encoder", "timm")
    assert found is not None and found.form == "run"
    (message,) = [record.getMessage() for record in caplog.records]
    assert (
        message == "timm is the run 'timm' here, not the component of that name: write PLUGIN:timm for that"
    )


def test_a_model_of_the_registry_is_taken_for_the_classes_that_it_knows(
    run: Path, mean: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    from chimera_core.plugins import discovery as plugins

    here("fuser", "export", "one", "-o", "creature.safetensors")
    file = mean / "creature.safetensors"
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    (mean / "registry.toml").write_text(
        f'[models.creature]\nfuser = "fakes:mean-image"\nasset = "creature"\nlicence = "none"\n'
        f'classes = ["class-0", "class-1", "class-2"]\n[assets.creature]\nurl = "{file.as_uri()}"\n'
        f'filename = "creature.safetensors"\nsize = {file.stat().st_size}\nsha256 = "{checksum}"\nlicence = "none"\n'
    )
    monkeypatch.setenv("CHIMERA_ASSETS", str(mean / "assets"))
    plugins._discover_once.cache_clear()
    code, _, err = here("fuse", "class-0", "class-1", "-o", "out.png")
    assert code == 0, err
    assert err.splitlines()[0] == "fuser: model creature"
    from PIL import Image

    text = Image.open(mean / "out.png").text  # type: ignore[attr-defined]
    assert (text["chimera.fuser"], text["chimera.component"], text["chimera.size"]) == (
        "creature",
        "fakes:mean-image",
        "16",
    )
    code, _, err = here("fuse", "class-0", "qqqq")
    assert code == 2
    assert err == (
        "chimera: there is no picture of 'qqqq': name an image file, or bring one into the library with "
        "`chimera library add qqqq FILE` or `chimera library fetch qqqq` (in fuse: --fetch)\n"
    )
