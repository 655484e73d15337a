"""The example packages, which the documentation quotes, and new ones made from them: built, installed, used, uninstalled."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.cli.root import run
from chimera_core.images import read_picture
from chimera_core.plugins.new_package import EXAMPLES as KINDS_OF_NEW

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(p.parent for p in (REPOSITORY / "examples" / "plugins").glob("*/pyproject.toml"))
KINDS = {
    "average": "fusion-generator",
    "vivid": "metric",
    "csv-list": "dataset-source",
    "cvae": "fusion-generator",
    "dissolve": "fusion-generator",
    "focus": "fusion-generator",
    "qoi": "image-reader",
    "shapes": "dataset-source",
    "sign-step": "robustness-trainer",
    "tiny": "feature-encoder",
}


@pytest.fixture(scope="module")
def wheels(build_wheels: Callable[..., list[Path]]) -> list[Path]:
    return build_wheels(*EXAMPLES)


@pytest.fixture(scope="module")
def new_packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Begin a package of every kind, called as its kind: ``my-trained-fuser``."""
    folder = tmp_path_factory.mktemp("new")
    for kind in KINDS_OF_NEW:
        where = ("--folder", str(folder / kind))
        assert run(["plugins", "new", f"my-{kind}", "--kind", kind, "--licence", "MIT", *where]) == 0
    return [folder / kind for kind in KINDS_OF_NEW]


@pytest.fixture(scope="module")
def installed(
    make_scratch: Callable[[], Any],
    wheels: list[Path],
    new_packages: list[Path],
    build_wheels: Callable[..., list[Path]],
) -> Any:
    """One environment with all examples and a new package of every kind."""
    scratch = make_scratch()
    scratch.install(*wheels, *build_wheels(*new_packages))
    return scratch


def listed(scratch: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(scratch.chimera("plugins", "list", "--json").stdout)}


def python(scratch: Any, code: str) -> str:
    done: subprocess.CompletedProcess[str] = scratch.python_forked(code)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fuse(scratch: Any, out: Path, *args: object) -> Any:
    done = scratch.forked("fuse", *args, "--size", 32, "--device", "cpu", "-o", out)
    assert done.returncode == 0, done.stderr
    return read_picture(out).rgb.astype(int)


def test_every_component_is_listed_as_ok_with_its_options(installed: Any) -> None:
    rows = listed(installed)
    assert {name: (rows[name]["kind"], rows[name]["status"]) for name in KINDS} == {
        name: (kind, "ok") for name, kind in KINDS.items()
    }
    assert (rows["dissolve"]["distribution"], rows["dissolve"]["version"]) == ("chimera-dissolve", "0.1")
    new = {name: row["status"] for name, row in rows.items() if name.startswith("my-")}
    assert new == {f"my-{kind}": "ok" for kind in KINDS_OF_NEW}
    # One process shows all of them: its start is what costs.
    code = f"from chimera_core.cli.root import run; [run(['plugins', 'show', n]) for n in {sorted(KINDS)}]"
    shown = python(installed, code)
    for flag in (
        "gamma",
        "cells",
        "edges",
        "encoder.model",
        "level",
        "images",
        "splits",
        "trainer.eps-255",
        "trainer.clean",
        "encoder.width",
    ):
        assert f"--{flag} " in shown, flag
    assert "preset mosaic" in shown


def test_tests_that_come_with_packages_pass(installed: Any, new_packages: list[Path], tmp_path: Path) -> None:
    begun = {f"chimera-{component}" for component in KINDS_OF_NEW.values()}
    others = [example for example in EXAMPLES if example.name not in begun and (example / "tests").is_dir()]
    folders = [package / "tests" for package in (*new_packages, *others)]
    quiet = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", tmp_path)
    arguments = [str(argument) for argument in (*quiet, *folders)]
    done = installed.python_forked(f"import pytest, sys; sys.exit(pytest.main({arguments}))")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_examples_keep_every_law_and_new_packages_those_of_packages(installed: Any) -> None:
    new = [f"my-{kind}" for kind in KINDS_OF_NEW]
    for names in ((*KINDS, "--deep"), new):
        done = installed.forked("plugins", "check", *names, "--json")
        rows = json.loads(done.stdout)
        assert [row for row in rows if row["verdict"] not in ("kept", "not-tried")] == []
        assert done.returncode == 0, done.stderr
        assert {row["plugin"] for row in rows if row["verdict"] == "kept"} == {*names} - {"--deep"}


def test_options_of_every_kind_appear_typed_in_help(installed: Any) -> None:
    for shown, flag, bounds in (
        (
            installed.forked("fuse", "--fuser", "dissolve", "--help").stdout,
            "--cells INTEGER RANGE",
            "2<=x<=256",
        ),
        (
            installed.forked("source", "info", "shapes", "--help").stdout,
            "--images INTEGER RANGE",
            "1<=x<=100000",
        ),
        (
            installed.forked("fuse", "--fuser", "style-transfer", "--encoder", "tiny", "--help").stdout,
            "--encoder.width INTEGER RANGE",
            "1<=x<=256",
        ),
        (
            installed.forked("encoder", "train", "--trainer", "sign-step", "--help").stdout,
            "--trainer.eps-255 FLOAT",
            "0<x<=64",
        ),
    ):
        assert flag in shown and bounds in shown and "default: " in shown, flag
    usage = installed.forked("fuse", "--fuser", "dissolve", "--help").stdout
    assert "[soft|hard]" in usage and "How cells meet." in usage
    shown = json.loads(installed.forked("plugins", "show", "dissolve", "--json").stdout)[0]
    options = {o["flag"]: o for o in shown["options"]}
    assert (options["--cells"]["minimum"], options["--cells"]["maximum"]) == (2, 256)
    assert options["--edges"]["type"] == "soft|hard"
    both = installed.forked("fuse", "--fuser", "dissolve", "--source", "shapes", "--help").stdout
    assert "--cells" in both and "--source.side" in both and " --side" not in both


def test_the_fusers_run_and_keep_their_laws(installed: Any, picture: Any, tmp_path: Path) -> None:
    pair = picture("red.png", colour=(255, 0, 0)), picture("blue.png", colour=(0, 0, 255))
    out = tmp_path / "out.png"
    average = fuse(installed, out, *pair, "--fuser", "average", "--gamma", 2)
    assert average.shape == (32, 43, 3)
    mosaic = fuse(installed, out, *pair, "--fuser", "dissolve", "--preset", "mosaic", "--cells", 4)
    red, blue = mosaic[10:22, 12:30, 0], mosaic[10:22, 12:30, 2]
    assert (red > blue + 60).any() and (blue > red + 60).any()

    said = installed.forked("fuse", *pair, "--fuser", "dissolve", "--size", 32, "-o", out, "--json")
    assert json.loads(said.stdout)["fuser"] == "dissolve"
    wrong = installed.forked("fuse", *pair, "--fuser", "dissolve", "--cells", 999, "-o", out)
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert "2<=x<=256" in wrong.stderr

    code = f"""
from chimera_core import fuse
pair = {[str(p) for p in pair]}
for name, options in [("dissolve", {{}}), ("focus", dict(encoder=dict(name="tiny", options=dict(width=4))))]:
    made = fuse(pair, fuser=name, n=3, size=32, device="cpu", **options).images
    alone = fuse(pair, fuser=name, seed=2, size=32, device="cpu", **options).images[0]
    assert (made[2] - alone).abs().max() < 1 / 255, name
    assert 0 <= made.min() and made.max() <= 1, name
    first = fuse(pair, [1, 0], fuser=name, size=32, device="cpu", **options).images
    swapped = fuse(pair[::-1], [0, 1], fuser=name, size=32, device="cpu", **options).images
    assert made.shape[0] == 3 and min(made.shape[2:]) == 32 and first.shape == swapped.shape, name
seeds = fuse(pair, fuser="dissolve", n=2, size=32, device="cpu").images
assert (seeds[0] - seeds[1]).abs().max() > 0.1
from chimera_core.api import read_picture, resize_shorter
from chimera_core.images.pixels import from_uint8
pixels = resize_shorter(from_uint8(read_picture(pair[0]).rgb), 32)
assert (fuse(pair, [1, 0], fuser="dissolve", size=32, device="cpu").images[0] - pixels).abs().max() < 1 / 255
"""
    python(installed, code)


def test_the_source_is_shown_previewed_and_fused_from(installed: Any, tmp_path: Path) -> None:
    info = json.loads(installed.forked("source", "info", "shapes", "--images", 7, "--json").stdout)
    assert info["classes"] == ["disc", "square"]
    assert info["domains"] == ["day", "night"]
    assert info["splits"] == {"train": 7, "test": 7}
    preview = tmp_path / "preview.png"
    done = installed.forked("source", "preview", "shapes", "--split", "test", "-o", preview)
    assert done.returncode == 0, done.stderr
    assert read_picture(preview).rgb.std() > 20
    wrong = installed.forked("source", "preview", "shapes", "--split", "tset", "-o", preview)
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert "it has: train, test" in wrong.stderr
    fused = fuse(
        installed,
        tmp_path / "out.png",
        "disc",
        "square",
        "--fuser",
        "dissolve",
        "--source",
        "shapes",
        "--source.side",
        40,
    )
    assert fused.shape == (32, 32, 3)
    code = """
import pickle
from chimera_core import open_source
split = open_source("shapes").open("train")
again = pickle.loads(pickle.dumps(split))
assert [e.label for e in again] == list(split.labels) and len(again) == 20
assert again[3].image.equal(split[3].image) and str(again[3].image.dtype) == "torch.uint8"
"""
    python(installed, code)


def test_the_encoder_serves_style_transfer_and_python(installed: Any, picture: Any, tmp_path: Path) -> None:
    pair = picture("red.png", colour=(255, 0, 0)), picture("blue.png", colour=(0, 0, 255))
    levels = ("--style-levels", 0, "--style-levels", 1, "--content-level", 2, "--subject", "whole")
    encoder = ("--fuser", "style-transfer", "--encoder", "tiny", "--encoder.width", 16)
    fused = fuse(installed, tmp_path / "out.png", *pair, *encoder, *levels, "--iterations", 2)
    assert min(fused.shape[:2]) == 32
    weights = tmp_path / "tiny.pth"
    code = f"""
import torch
from chimera_core import load_encoder
from chimera_core.api import DataError
tiny, same, other = load_encoder("tiny"), load_encoder("tiny"), load_encoder("tiny", seed=1)
x = torch.rand(2, 3, 32, 48)
assert tiny(x).shape == (2, 10) and tiny.embed(x).shape == (2, 32)
assert tiny(x).equal(same(x)) and not tiny(x).equal(other(x))
logits, maps = tiny.logits_and_maps(x, [2, 0])
assert logits.equal(tiny(x)) and maps[1].equal(tiny.feature_maps(x, [0])[0])
for level, found in zip([2, 0], maps):
    assert found.shape == (2, tiny.levels[level].channels, *(s // tiny.levels[level].stride for s in (32, 48)))
torch.save(other.state_dict(), {str(weights)!r})
assert load_encoder("tiny", weights={str(weights)!r})(x).equal(other(x))
try:
    load_encoder("tiny", width=4, weights={str(weights)!r})
except DataError:
    pass
else:
    raise AssertionError("weights of another width were taken")
"""
    python(installed, code)


def test_the_trainer_attacks_within_its_bounds_and_its_loss_has_gradients(installed: Any) -> None:
    code = """
import torch
from chimera_core import load_encoder
from chimera_core.api import Draw
from chimera_core.plugins.discovery import default_host
from chimera_core.components.choice import choose
trainer = choose(default_host(), "robustness-trainer", "sign-step", {"eps_255": 4}).load()
encoder = load_encoder("tiny")
x, y, draw = torch.rand(4, 3, 32, 32), torch.arange(4), Draw(0, 0, torch.arange(4))
with torch.no_grad():
    attacked = trainer.perturb(encoder, x, y, draw=draw)
assert attacked.shape == x.shape and 0 <= attacked.min() and attacked.max() <= 1
assert 3.9 / 255 < (attacked - x).abs().max() < 4.1 / 255
assert all(p.grad is None for p in encoder.parameters())
loss, metrics = trainer.loss(encoder, x, y, draw=draw)
loss.backward()
assert loss.ndim == 0 and metrics["attacked"] > metrics["clean"]
assert all(p.grad is not None for p in encoder.parameters())
"""
    python(installed, code)


def test_the_source_the_encoder_and_the_trainer_work_together_in_a_training(
    installed: Any, tmp_path: Path
) -> None:
    run = tmp_path / "signs"
    source = ("--source", "shapes", "--source.images", 40, "--size", 16, "--batch", 8)
    trained = ("--encoder", "tiny", "--trainer", "sign-step", "--trainer.eps-255", 4, "--images", 80)
    done = installed.forked("encoder", "train", *source, *trained, "--device", "cpu", "--run", run)
    assert done.returncode == 0, done.stderr
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {"attacked", "clean"} <= set().union(*metrics)
    assert tomllib.loads((run / "config.toml").read_text())["encoder"]["options"]["classes"] == 2


def test_nothing_is_left_of_uninstalled_plugins(make_scratch: Callable[[], Any], wheels: list[Path]) -> None:
    scratch = make_scratch()
    before = listed(scratch)
    scratch.install(*wheels)
    assert listed(scratch).keys() - before.keys() == KINDS.keys()
    scratch.uninstall(*(example.name for example in EXAMPLES))
    assert listed(scratch) == before
    gone = scratch.chimera("source", "info", "shapes")
    assert (gone.returncode, len(gone.stderr.splitlines())) == (2, 1)
    assert "no dataset-source is named 'shapes'" in gone.stderr
    gone = scratch.chimera("fuse", "a.jpg", "b.jpg", "--fuser", "dissolve", "-o", "out.png")
    assert gone.returncode == 2
    assert "no fusion-generator is named 'dissolve'" in gone.stderr
