"""What plugins add to trainings: attacks, augmentations and loggers are found by name, and looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core.runs.config import read_config
from chimera_core.training.parts.metrics import read_metrics

Here = Callable[..., tuple[int, str, str]]

TRAIN = [
    "encoder",
    "train",
    "--source",
    "folder",
    "--encoder",
    "tiny",
    "--trainer",
    "plain",
    "--size",
    "16",
    "--batch",
    "8",
    "--images",
    "32",
    "--precision",
    "fp32",
    "--device",
    "cpu",
    "--run",
    "one",
]


def train(here: Here, pictures: Path, *more: object) -> tuple[int, str, str]:
    return here(*TRAIN, "--source.root", pictures, *more)


@pytest.mark.slow
def test_a_training_is_varied_and_logged_by_plugins_and_measured_by_their_attack(
    tiny: Path, pictures: Path, here: Here
) -> None:
    code, _, err = train(here, pictures, "--augment", "tiny:invert", "--log", "notes", "--log-images", 16)
    assert code == 0, err
    run = tiny / "runs" / "one"
    notes = (run / "notes.txt").read_text().splitlines()
    logged = [line for line in read_metrics(run) if "event" not in line]
    assert notes[-1] == "end" and [int(n.split()[0]) for n in notes[:-1]] == [x["images"] for x in logged]
    assert " loss " in notes[0]
    code, out, err = here("encoder", "evaluate", "one", "--attack", "darken", "--attack", "fgsm", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (
        set(found["attacks"]) == {"darken", "fgsm"} and 0 <= found["attacks"]["darken"] <= found["accuracy"]
    )
    assert found["worst"] <= min(found["attacks"].values())
    code, out, err = here("encoder", "evaluate", "one", "--masking", "--limit", 2)
    assert code == 0, err
    assert "gradients seem masked: " in out or "no sign of masked gradients" in out
    code, _, err = here("encoder", "evaluate", "one", "--attack", "darken", "--norm", "l2")
    assert (code, err) == (2, "chimera: attack tiny:darken knows no l2: take --norm linf\n")
    code, _, err = here("encoder", "evaluate", "one", "--attack", "leap")
    # An encoder that classifies no image correctly is not attacked at all.
    assert found["accuracy"] == 0 or (code != 0 and "attack tiny:leap moved an image by" in err)


@pytest.mark.slow
def test_a_logger_that_fails_does_not_end_the_training(
    tiny: Path, pictures: Path, here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    assert train(here, pictures, "--log", "offline", "--log-images", 16)[0] == 0
    warnings = [record.getMessage() for record in caplog.records if "Offline" in record.getMessage()]
    assert warnings == ["Offline failed (ConnectionError: no network): nothing more goes there"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--augment", "invrt"), "there is no augmentation 'invrt' (did you mean 'invert'?)"),
        (("--augment", "other:invert"), "no augmentation is named 'other:invert'"),
        (("--log", "noets"), "there is no --log 'noets' (did you mean 'notes'?)"),
        (
            ("--augment", "shrink"),
            "augmentation tiny:shrink gave images (8, 3, 16, 8) for (8, 3, 16, 16): they must keep their shape",
        ),
    ],
)
def test_what_is_unknown_or_breaks_its_contract_is_one_line(
    tiny: Path, pictures: Path, here: Here, options: tuple[str, ...], message: str
) -> None:
    code, _, err = train(here, pictures, *options)
    assert code != 0 and message in err and "Traceback" not in err


def test_commands_of_plugins_are_listed_and_run(tiny: Path, here: Here) -> None:
    assert here("x", "hello", "wolf")[:2] == (0, "hello wolf\n")
    assert "greet somebody" in here("x", "--help")[1]
    assert "Greet somebody." in here("x", "hello", "--help")[1]
    code, _, err = here("x", "helo")
    assert (code, err) == (2, "chimera: there is no command 'x helo' (did you mean 'hello'?)\n")


@pytest.mark.slow
def test_a_trainer_with_a_state_is_resumed_to_the_same_weights_and_replays_every_batch(
    tiny: Path, pictures: Path, here: Here
) -> None:
    line = [
        *TRAIN[:-2],
        "--trainer",
        "free",
        "--trainer.replays",
        "3",
        "--schedule",
        "constant",
        "--source.root",
        str(pictures),
    ]
    code, _, err = here(*line, "--run", "whole")
    assert code == 0, err
    assert here(*line, "--run", "parts", "--images", "16")[0] == 0
    code, _, err = here(*line, "--run", "parts", "--resume", "--images", "32")
    assert code == 0, err
    whole, parts = (tiny / "runs" / n / "checkpoints" / "best.safetensors" for n in ("whole", "parts"))
    states = [sorted(folder.parent.glob("0*32.safetensors"))[-1].read_bytes() for folder in (whole, parts)]
    assert states[0] == states[1]
    code, _, err = here(*line, "--run", "shared", "--devices", "2")
    assert code == 2 and "trainer free keeps something of every batch" in err


@pytest.mark.slow
def test_the_training_of_an_encoder_s_preset_counts_as_a_fuser_s_does(
    tiny: Path, pictures: Path, here: Here
) -> None:
    code, _, err = train(here, pictures, "--preset", "slow", "--images", "8", "--ema", "0.25")
    assert code == 0, err
    config = read_config(tiny / "runs" / "one" / "config.toml")
    assert (config["lr"], config["ema"], config["encoder"]["options"]["width"]) == (0.002, 0.25, 3)
