"""``chimera encoder``: layers of options, runs as encoders, bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core.options.config import read_count
from chimera_core.options.training import EncoderTraining
from chimera_core.runs.config import read_config
from chimera_core.training.parts.metrics import TIMINGS, read_metrics

Make = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]


def arguments(pictures: Path, *more: object) -> list[object]:
    return [
        "encoder",
        "train",
        "--source",
        "folder",
        "--source.root",
        pictures,
        "--encoder",
        "tiny",
        "--trainer",
        "plain",
        "--size",
        16,
        "--batch",
        8,
        "--images",
        144,
        "--precision",
        "fp32",
        "--lr",
        0.03,
        *more,
    ]


@pytest.fixture
def run(tiny: Path, pictures: Path, here: Here, train_once: Callable[..., Path]) -> Path:
    return train_once(tiny, lambda: here(*arguments(pictures, "--run", "one", "--ema", 0.9)))


@pytest.mark.slow
def test_a_run_says_all_of_itself_and_its_config_runs_the_same_again(
    run: Path, tiny: Path, here: Here
) -> None:
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "done" and record["kind"] == "encoder" and record["precision"] == "fp32"
    assert record["classes"] == ["class-0", "class-1", "class-2"] and record["images"] == 144
    config = read_config(run / "config.toml")
    # The source decides what the user did not: the tiny network's own defaults are 7 classes and 999 px.
    assert config["encoder"]["options"]["classes"] == 3 and config["encoder"]["options"]["size"] == 16
    code, _, err = here("encoder", "train", "--config", run / "config.toml", "--run", "two")
    assert code == 0, err
    other = tiny / "runs" / "two"
    assert (other / "config.toml").read_bytes() == (run / "config.toml").read_bytes()
    for name in ("000000144.safetensors", "best.safetensors"):
        assert (other / "checkpoints" / name).read_bytes() == (run / "checkpoints" / name).read_bytes()
    lines = [
        [{k: v for k, v in x.items() if k not in TIMINGS} for x in read_metrics(f)] for f in (run, other)
    ]
    assert lines[0] == lines[1]


def test_a_length_by_flag_goes_before_the_other_kind_of_length_in_a_file(run: Path, here: Here) -> None:
    """A run's own config.toml says ``images``; of the two lengths only one may be given."""
    line = ("encoder", "train", "--config", run / "config.toml", "--dry-run", "--json")
    code, out, err = here(*line, "--epochs", 3)
    assert code == 0, err
    assert json.loads(out)["images"] == 3 * 72
    code, _, err = here(*line, "--epochs", 3, "--images", 9)
    assert code == 2 and "give --images or --epochs, not both" in err


def test_a_file_may_name_the_encoder_s_preset_and_nothing_unknown(
    tiny: Path, pictures: Path, here: Here
) -> None:
    file = tiny / "mine.toml"
    file.write_text('[encoder]\nname = "tiny"\npreset = "wide"\n')
    line = ("encoder", "train", "--config", file, "--source", "folder", "--source.root", pictures)
    more = ("--size", 16, "--batch", 8, "--images", 8, "--dry-run", "--json")
    assert json.loads(here(*line, *more)[1])["parameters"] > 500
    assert json.loads(here(*line, *more, "--encoder.width", 4)[1])["parameters"] < 500
    file.write_text(file.read_text().replace("preset", "presett"))
    code, _, err = here(*line, *more)
    assert code == 2 and f"{file} line 3: encoder.presett is unknown (did you mean 'preset'?)" in err


@pytest.mark.slow
def test_layers_default_then_preset_then_file_then_flag(tiny: Path, pictures: Path, here: Here) -> None:
    file = tiny / "mine.toml"
    file.write_text('lr = 0.5\nbatch = 4\n[encoder]\nname = "tiny"\n[encoder.options]\ndropout = 0.125\n')
    command = [
        "encoder",
        "train",
        "--source",
        "folder",
        "--source.root",
        pictures,
        "--images",
        8,
        "--size",
        16,
    ]
    code, _, err = here(*command, "--config", file, "--preset", "wide", "--lr", 0.25, "--run", "r")
    assert code == 0, err
    config = read_config(tiny / "runs" / "r" / "config.toml")
    assert config["lr"] == 0.25 and config["batch"] == 4 and config["trainer"]["name"] == "robust:standard"
    assert config["encoder"]["options"] == {
        "classes": 3,  # the preset's 5 is not the user's word
        "size": 16,
        "width": 6,
        "norm": True,
        "dropout": 0.125,
    }


def test_a_preset_brings_its_encoder_and_its_recipe_and_the_trainer_s_goes_before_it(
    tiny: Path, pictures: Path, here: Here
) -> None:
    line = ("encoder", "train", "--preset", "slow", "--source", "folder", "--source.root", pictures)
    more = ("--size", 16, "--batch", 8, "--images", 8, "--dry-run")
    code, out, err = here(*line, *more, "--json")
    assert code == 0, err
    said = json.loads(out)["options"]
    assert said["lr"] == {"value": 0.002, "from": "preset slow"} and said["ema"]["value"] == 0.5
    assert said["batch"] == {"value": 8, "from": "the command line"}
    trainer = ("--trainer", "plain", "--trainer-preset", "gentle")
    said = json.loads(here(*line, *more, *trainer, "--json")[1])["options"]
    assert said["lr"]["from"] == "preset slow" and said["ema"] == {"value": 0.75, "from": "preset gentle"}
    said = json.loads(here(*line, *more, *trainer, "--ema", 0.25, "--json")[1])["options"]
    assert said["ema"] == {"value": 0.25, "from": "the command line"}
    out = here(*line, *more)[1]
    assert "options, from preset slow: lr 0.002, ema 0.5\n" in out
    help_ = " ".join(here(*line, *trainer, "--help")[1].split())
    assert "0.75, from preset gentle" in help_ and "0.002, from preset slow" in help_


def test_minutes_alone_are_the_length_and_stay_so_in_the_run(tiny: Path, pictures: Path, here: Here) -> None:
    line = arguments(pictures, "--max-minutes", 5)
    alone = [a for a in line if a not in ("--images", 144)]
    code, out, err = here(*alone, "--dry-run")
    assert code == 0 and "5 minutes" in out, err
    found = json.loads(here(*alone, "--dry-run", "--json")[1])
    assert found["steps"] is None and found["minutes"] == 5
    assert (
        json.loads(here(*line, "--dry-run", "--json")[1])["steps"] == 18
    )  # a limit, where there is a length
    code, _, err = here(*alone, "--warmup-images", 8)
    assert code == 2 and "a training whose length is --max-minutes has no --warmup-images" in err
    line[line.index("--max-minutes") + 1] = 1e-6
    alone = [a for a in line if a not in ("--images", 144)]
    code, _, err = here(*alone, "--run", "short")
    assert code == 0, err
    config = read_config(tiny / "runs" / "short" / "config.toml")
    assert "images" not in config and config["max_minutes"] == 1e-6
    record = json.loads((tiny / "runs" / "short" / "run.json").read_text())
    assert record["status"] == "done" and record["images_total"] is None


def test_a_run_is_an_encoder_by_name_with_its_averaged_weights(run: Path, pictures: Path) -> None:
    from chimera_core import load_encoder
    from chimera_core.errors import ConfigError
    from chimera_core.files.weights import load_state

    encoder = load_encoder("one")
    assert not encoder.training and encoder(torch.rand(2, 3, 16, 16)).shape == (2, 3)
    assert load_encoder(str(run)).state_dict().keys() == encoder.state_dict().keys()
    state = load_state(run / "checkpoints" / "000000144.safetensors")
    best = json.loads((run / "checkpoints" / "000000144.json").read_text())["state"]["best"]
    assert best["images"] == 144  # then the best are the last averaged ones
    assert torch.equal(encoder.head.weight, state["ema.head.weight"])  # type: ignore[union-attr, arg-type]
    assert not torch.equal(encoder.head.weight, state["model.head.weight"])  # type: ignore[union-attr, arg-type]
    with pytest.raises(ConfigError, match="run one has no option 'width'"):
        load_encoder("one", width=3)


def test_evaluate_gives_the_contract(run: Path, here: Here) -> None:
    code, out, err = here("encoder", "evaluate", "one", "--json", "--device", "cpu")
    assert code == 0, err
    found = json.loads(out)
    assert found.keys() == {
        *("key", "source", "split", "n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1"),
        *("left_out", "unknown_classes", "attacks", "domains"),
    }
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"] or found["accuracy"] == 1
    assert found["split"] == "val" and found["n"] == 24 and found["attacks"] == {}
    last = [line for line in read_metrics(run) if "val_accuracy" in line][-1]
    assert found["accuracy"] == pytest.approx(last["val_accuracy"], abs=1e-6)
    code, out, _ = here("encoder", "evaluate", run, "--split", "train", "--limit", 10)
    assert code == 0 and "split train" in out and " 10 " in out


def test_evaluate_under_attacks_tells_each_and_the_worst(run: Path, here: Here) -> None:
    command = ["encoder", "evaluate", "one", "--limit", 12, "--device", "cpu"]
    code, out, err = here(*command, "--attack", "fgsm", "--attack", "pgd", "--eps", "8/255", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["attacks"].keys() == {"fgsm", "pgd"} and found["n"] == 12
    assert found["worst"] <= min(found["attacks"].values()) <= found["accuracy"]
    assert found["eps"] == pytest.approx(8 / 255) and found["norm"] == "linf"
    code, _, err = here(*command, "--attack", "fgms")
    assert code == 2 and err == "chimera: there is no attack 'fgms' (did you mean 'fgsm'?)\n"
    code, _, err = here(*command, "--attack", "fgsm", "--eps", 8)
    assert code == 2 and "write 8/255, but eps is 8" in err
    code, out, err = here(*command, "--eps", 8)
    assert code == 2 and out == "" and "write 8/255, but eps is 8" in err


def test_dry_run_counts_and_writes_nothing(tiny: Path, pictures: Path, here: Here) -> None:
    code, out, err = here(*arguments(pictures, "--dry-run", "--json", "--ema", 0.9, "--encoder.width", 8))
    assert code == 0, err
    found = json.loads(out)
    parameters = 3 * 8 * 9 + 8 + 2 * 8 + 8 * 8 * 9 + 8 + 2 * 8 + 8 * 3 + 3
    buffers = 2 * (8 + 8) * 4 + 2 * 8  # running statistics, and two counters of 8 bytes
    assert found["parameters"] == found["learned"] == parameters
    assert found["bytes"]["weights"] == found["bytes"]["ema"] == parameters * 4 + buffers
    assert found["bytes"]["optimizer"] == 2 * found["bytes"]["gradients"] == 8 * parameters
    assert found["input"] == [8, 3, 16, 16] and found["logits"] == [8, 3]
    assert found["fitting_batch"] == 64 and found["images_per_s"] > 0
    assert not (tiny / "runs").exists() and not (tiny / "cache").exists()


@pytest.mark.slow
def test_without_a_validation_split_a_fifth_of_each_class_is_held_out(
    tiny: Path, make_pictures: Make, here: Here
) -> None:
    root = make_pictures(tiny / "flat", classes=2, train=15, val=5, flat=True)
    code, _, err = here(*arguments(root, "--run", "flat"))
    assert code == 0, err
    record = json.loads((tiny / "runs" / "flat" / "run.json").read_text())
    assert record["val_split"] == "held-out" and record["val_images"] == 8 and record["train_images"] == 32
    code, out, _ = here("encoder", "evaluate", "flat", "--json")
    assert json.loads(out)["split"] == "held-out" and json.loads(out)["n"] == 8


@pytest.mark.slow
def test_domains_are_learned_apart_and_evaluated_together(
    tiny: Path, make_pictures: Make, here: Here
) -> None:
    root = tiny / "art"
    for domain in ("photo", "sketch"):
        make_pictures(root / domain, classes=2, train=10, val=0, flat=True)
    code, _, err = here(*arguments(root, "--run", "p", "--domains", "photo"))
    assert code == 0, err
    assert json.loads((tiny / "runs" / "p" / "run.json").read_text())["train_images"] == 16
    code, out, _ = here("encoder", "evaluate", "p", "--json", "--split", "all")
    assert [(d["domain"], d["n"]) for d in json.loads(out)["domains"]] == [("photo", 20), ("sketch", 20)]
    code, _, err = here(*arguments(root, "--run", "q", "--domains", "foto"))
    assert code == 2 and err == "chimera: there is no domain 'foto' (did you mean 'photo'?)\n"


BAD: dict[str, tuple[list[object], str]] = {
    "one class": (["--source.root", "ONE"], "has one class only (class-0)"),
    "label too large": (
        ["--source", "wrong-labels", "--source.label", 3],
        "has label 3, but there are 3 classes",
    ),
    "label below 0": (
        ["--source", "wrong-labels", "--source.label", -1],
        "has label -1, but there are 3 classes",
    ),
    "unknown source": (["--source", "foldr"], "no dataset-source is named 'foldr' (did you mean 'folder'?)"),
    "unknown encoder": (["--encoder", "tny"], "did you mean 'tiny'?"),
    "unknown trainer": (["--trainer", "plan"], "did you mean 'plain'?"),
    "unknown preset": (["--preset", "wid"], "tiny has no preset 'wid' (did you mean 'wide'?)"),
    "no such data": (["--source.root", "nowhere"], "does not exist"),
    "batch too large": (["--batch", 100], "a batch of 100 images is more than there are (72)"),
    "no length": (["--images", "many"], "write a number of images as 5000, 200k or 2M"),
    "two lengths": (["--epochs", 3], "give --images or --epochs, not both"),
    "no GPU": (["--device", "cuda:7"], "device 'cuda:7' is not on this machine"),
    "odd devices": (["--devices", 3], "a batch of 8 cannot be shared by 3 devices"),
    "warm-up too long": (["--warmup-images", "1k"], "longer than the training of 144"),
    "other classes": (
        ["--encoder.classes", 9],
        "gives logits (2, 9) for two images, but the source has 3 classes",
    ),
    "network needs more": (
        ["--encoder", "timm", "--encoder.model", "vgg11", "--encoder.weights", "none"],
        "size",
    ),
    "too small for the network": (
        ["--encoder", "cnn", "--size", 8],
        "images are 8 x 8 pixels, but this cnn needs at least 16 x 16: use larger images",
    ),
    "radius of 8": (["--trainer", "pgd", "--trainer.eps", 8], "write 8/255, but it is 8"),
    "unknown preset of a trainer": (
        ["--trainer", "fgsm", "--trainer-preset", "report"],
        "fgsm has no preset 'report'",
    ),
    "no such format": (["--precision", "fp16"], "'fp16' is not one of 'auto', 'fp32', 'bf16'"),
    "no split": (["--val-split", "vall"], "there is no split 'vall' with images (did you mean 'val'?)"),
    "no file": (["--config", "no.toml"], "file of options no.toml does not exist: name a TOML file"),
    "nothing to resume": (["--resume", "--run", "none"], "there is no run 'none' to resume"),
    "unknown augmentation": (["--augment", "flp"], "there is no augmentation 'flp' (did you mean 'flip'?)"),
    "no tensorboard": (["--log", "tensorboard"], "pip install 'chimera-toolkit[tensorboard]'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_exit_2_and_leaves_nothing(
    what: str,
    tiny: Path,
    pictures: Path,
    make_pictures: Make,
    here: Here,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more, expected = BAD[what]
    if what == "one class":
        make_pictures(tiny / "ONE", classes=1, train=10, val=4)
    if what == "no tensorboard":
        import importlib.util

        found = importlib.util.find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec",
            lambda name, *rest: None if name == "tensorboard" else found(name, *rest),
        )
    line = arguments(pictures, *more)
    if "wrong-labels" in more:
        line = [word for word in line if word not in ("--source.root", pictures)]
    code, out, err = here(*line)
    assert code == 2 and out == ""
    last = err.splitlines()[-1]
    assert last.startswith("chimera: ") and expected in last
    assert len([line for line in err.splitlines() if line.startswith("chimera: ")]) == 1
    assert not (tiny / "runs").exists()


def test_a_precision_that_the_device_lacks_is_one_line(
    tiny: Path, pictures: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"architecture": "x86_64", "cpu_name": "Old"})
    code, _, err = here(*arguments(pictures, "--precision", "bf16", "--device", "cpu"))
    assert code == 2 and "this CPU (Old) has neither AMX nor AVX-512 bf16" in err.splitlines()[-1]


def test_a_run_that_is_there_is_not_touched_without_resume(run: Path, pictures: Path, here: Here) -> None:
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    code, _, err = here(*arguments(pictures, "--run", "one"))
    assert code == 2 and "is there already: go on with --resume" in err
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_resume_goes_on_further_and_refuses_other_options(run: Path, pictures: Path, here: Here) -> None:
    code, _, err = here("encoder", "train", "--run", "one", "--resume", "--lr", 0.5)
    assert code == 2 and "the run was started with lr 0.03, not 0.5" in err
    code, _, err = here("encoder", "train", "--run", "one", "--resume", "--encoder.width", 5)
    assert code == 2 and "the run was started with encoder.width 4, not 5" in err
    code, _, err = here("encoder", "train", "--run", "one", "--resume", "--images", 216)
    assert code == 0, err
    assert "going on from 144 images" in err
    assert read_metrics(run)[-1]["images"] == 216


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_used(run: Path, here: Here) -> None:
    newest = run / "checkpoints" / "000000144.safetensors"
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-100])
    code, _, err = here("encoder", "train", "--run", "one", "--resume")
    assert code == 0, err
    messages = [line for line in err.splitlines() if line.startswith("chimera: ")]
    assert "000000144.safetensors' is damaged" in messages[0] and "the one before it is used" in messages[0]
    assert messages[1] == "chimera: going on from 72 images"
    assert newest.read_bytes() == whole


def change_width(run: Path) -> None:
    file = run / "config.toml"
    file.write_text(file.read_text().replace("width = 4", "width = 5"))


def cut_weights(run: Path) -> None:
    file = run / "checkpoints" / "best.safetensors"
    file.write_bytes(file.read_bytes()[:100])


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another architecture": (change_width, "has shape (4, 3, 3, 3), but the model needs (5, 3, 3, 3)"),
    "weights cut short": (cut_weights, "is damaged"),
    "no weights": (lambda run: (run / "checkpoints" / "best.safetensors").unlink(), "has no weights yet"),
    "no config": (lambda run: (run / "config.toml").unlink(), "config.toml does not exist"),
    "bad record": (lambda run: (run / "run.json").write_text("{"), "is damaged"),
    "another kind": (
        lambda run: (run / "run.json").write_text('{"kind": "fuser"}'),
        "is not a training of an encoder",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_run_that_cannot_be_used_is_one_line(what: str, run: Path, here: Here) -> None:
    spoil, expected = DAMAGE[what]
    spoil(run)
    code, out, err = here("encoder", "evaluate", "one")
    assert code == 2 and out == ""
    assert len(err.splitlines()) == 1 and expected in err


def test_resume_into_another_architecture_is_one_line_and_writes_nothing(run: Path, here: Here) -> None:
    change_width(run)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    code, out, err = here("encoder", "train", "--run", "one", "--resume", "--images", 288)
    assert code == 2 and out == ""
    assert err.splitlines() == [
        "chimera: the checkpoint's model: 'body.0.weight' has shape (4, 3, 3, 3), but the model needs (5, 3, 3, 3)"
    ]
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_resume_with_data_that_changed_is_refused(tiny: Path, pictures: Path, here: Here) -> None:
    root = tiny / "own"
    shutil.copytree(pictures, root)
    assert here(*arguments(root, "--run", "own"))[0] == 0
    next((root / "train" / "class-0").iterdir()).unlink()
    code, _, err = here("encoder", "train", "--run", "own", "--resume", "--images", 288)
    assert code == 2 and "have changed since the run began" in err


@pytest.mark.parametrize(
    ("text", "count"), [("200k", 200_000), ("2M", 2_000_000), ("1.5k", 1500), ("1_000", 1000)]
)
def test_counts_of_images_are_written_shortly(text: str, count: int) -> None:
    assert read_count(text) == count
    assert EncoderTraining(source="s", encoder="e", images=text).images == count


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_encoder_trains_on_the_gpu_and_resumes(
    precision: str, tiny: Path, pictures: Path, here: Here
) -> None:
    changed = ["--device", "cuda", "--ema", 0.9, "--precision", precision, "--images", 400, "--run", "g"]
    code, _, err = here(*arguments(pictures, *changed))
    assert code == 0, err
    code, _, err = here("encoder", "train", "--run", "g", "--resume", "--images", 480)
    assert code == 0, err
    assert "going on from 400 images" in err
    code, out, _ = here("encoder", "evaluate", "g", "--device", "cuda", "--json")
    assert code == 0 and json.loads(out)["n"] == 24
