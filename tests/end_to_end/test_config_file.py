"""``--config FILE.toml``: default < registry < preset < file < flag, and a run's own file runs the same again."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.images import read_notes, read_picture
from chimera_core.runs.record import write_run_config

QUICK = ("--size", "32", "--fuser", "style-transfer", "--iterations", "2", "--device", "cpu")


@pytest.fixture
def pair(picture: Callable[..., Path]) -> tuple[Path, Path]:
    return picture("a.png"), picture("b.png", colour=(20, 200, 40))


@pytest.fixture
def config(tmp_path: Path, pair: tuple[Path, Path]) -> Path:
    path = tmp_path / "fuse.toml"
    path.write_text(
        f"""command = "fuse"
parents = ["{pair[0]}", "{pair[1]}"]
weights = ["1/2", 0.5]
seed = 3
size = 32
device = "cpu"
output = "{tmp_path / "out.png"}"

[fuser]
name = "style:style-transfer"
[fuser.options]
iterations = 2
style_levels = [1]
[fuser.options.encoder.options]
pool = "avg"
"""
    )
    return path


def options_in(png: Path) -> dict[str, Any]:
    options: dict[str, Any] = json.loads(read_notes(png)["chimera.options"])
    return options


def test_a_file_says_everything_and_a_flag_goes_before_it(here: Any, config: Path, tmp_path: Path) -> None:
    code, out, err = here("fuse", "--config", config, "--json")
    assert code == 0, err
    made = json.loads(out)
    assert (made["seed"], made["weights"]) == (3, [0.5, 0.5])
    options = options_in(tmp_path / "out.png")
    assert (options["iterations"], options["style_levels"]) == (2, [1])
    assert options["encoder"]["options"] == {"pool": "avg"}

    command = ("fuse", "--config", config, "--seed", "4", "--style-levels", "0", "--encoder.pool", "max")
    code, out, err = here(*command, "--json")
    assert code == 0, err
    assert json.loads(out)["seed"] == 4
    options = options_in(tmp_path / "out.png")
    assert (options["iterations"], options["style_levels"]) == (2, [0])
    assert options["encoder"]["options"] == {"pool": "max"}


def test_every_layer_goes_before_the_one_below_and_help_says_which(here: Any, tmp_path: Path) -> None:
    registry, file = tmp_path / "mine.toml", tmp_path / "c.toml"
    registry.write_text(
        "[plugins.style.options.style-transfer]\niterations = 11\ncontent_weight = 1\ncontent_level = 1\n"
        'total_variation = "1/4"\n'
    )
    file.write_text(
        'preset = "report-style"\n[fuser]\nname = "style-transfer"\n[fuser.options]\niterations = 22\ncontent_weight = 2\n'
    )
    shown = here("--registry", registry, "fuse", "--config", file, "--help")[1]
    unfolded = "".join(shown.split())  # help folds long lines, at hyphens too
    for wanted in (
        f"[default: 22, from file of options {file} line 5; ",
        f"[default: 2, from file of options {file} line 6; ",
        "[default: 5, from preset report-style; ",  # content_level, over the registry's
        f"[default: 1/4, from registry {registry} line 5; ",
        "[default: 1.25; ",
    ):
        assert wanted.replace(" ", "") in unfolded


def test_the_file_of_a_run_makes_the_same_again(here: Any, config: Path, tmp_path: Path) -> None:
    """What a command resolved is written, read again under another registry, and makes the same picture."""
    from chimera_core.fusing.request import check_request
    from chimera_core.plugins.discovery import default_host

    host = default_host()
    pair = [tmp_path / "a.png", tmp_path / "b.png"]
    preset = {"optimizer": "adam", "iterations": 3, "colour": "keep"}
    plan = check_request(pair, fuser="style-transfer", options=preset, size=32, device="cpu", host=host)
    command = ("fuse", *pair, "--fuser", "style-transfer", "--size", 32, "--device", "cpu", "--seed", 5)
    flags = ("--optimizer", "adam", "--iterations", 3, "--colour", "keep")
    assert here(*command, *flags, "-o", tmp_path / "first.png")[0] == 0

    write_run_config(
        tmp_path,
        "fuse",
        parents=list(plan.parents),
        seed=5,
        size=plan.size,
        device="cpu",
        sweep=None,
        output=str(tmp_path / "second.png"),
        fuser=plan.fuser.as_table(),
    )
    registry = tmp_path / "mine.toml"
    registry.write_text(
        '[plugins.style.options.style-transfer]\niterations = 50\n[plugins.timm.options.timm]\npool = "avg"\n'
    )
    code, _, err = here("--registry", registry, "fuse", "--config", tmp_path / "config.toml")
    assert code == 0, err
    first, second = (tmp_path / f"{n}.png" for n in ("first", "second"))
    assert (read_picture(first).rgb == read_picture(second).rgb).all()
    table = tomllib.loads((tmp_path / "config.toml").read_text())
    assert table["fuser"]["name"] == "style:style-transfer"
    assert table["fuser"]["options"]["encoder"]["name"] == "timm:timm"
    # Every option of the fuser and of the encoder that it names is there, the defaults too.
    assert {"iterations", "optimizer", "style_levels", "texture_scale"} <= table["fuser"]["options"].keys()
    assert {"model", "weights", "pool"} <= table["fuser"]["options"]["encoder"]["options"].keys()


def test_demo_records_its_config_and_runs_the_same_again(
    here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimera_core.cli import demo as command

    for name, small in (("CREATURE_SIZE", 96), ("GRID_SIZE", 48), ("GRID_FRAMES", 2), ("GENERATOR_ROWS", 1)):
        monkeypatch.setattr(command, name, small)

    def demo(folder: str, *args: object) -> None:
        code, _, err = here("demo", "--run", tmp_path / folder, *args)
        assert code == 0, err

    quick = tmp_path / "quick.toml"
    quick.write_text("seed = 2\n[fuser.options]\nhead_size = 1.2\n")
    demo("one", "--config", quick)
    table = tomllib.loads((tmp_path / "one" / "config.toml").read_text())
    assert (table["command"], table["seed"], table["fuser"]["options"]["head_size"]) == ("demo", 2, 1.2)
    assert table["fuser"]["name"] == "parts:auto"
    demo("two", "--config", tmp_path / "one" / "config.toml")
    one, two = (read_picture(tmp_path / name / "chimera.png").rgb for name in ("one", "two"))
    assert (one == two).all()
    assert (tmp_path / "one" / "config.toml").read_text().splitlines()[1:] == (
        tmp_path / "two" / "config.toml"
    ).read_text().splitlines()[1:]  # the first line names its folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size = 32", 'size = "big"', "line 5: size: 'big' is not a valid integer"),
        ("size = 32", "size = true", "line 5: size must be one value, but it is True"),
        ("size = 32", "size = [32]", "line 5: size must be one value, but it is [32]"),
        ("size = 32", "count = 2", "line 5: there is no option 'count'"),
        ("seed = 3", "sed = 3", "line 4: there is no option 'sed' (did you mean 'seed'?)"),
        ("seed = 3", "seed = -3", "line 4: seed: -3 is not in the range"),
        ("seed = 3", "seed = = 3", "cannot be read (Invalid value (at line 4"),
        ("parents = [", "parents = 3 # [", "line 2: parents must be a list"),
        ('"1/2", 0.5', '"x", 0.5', "line 3: weights: ['x', 0.5] are not numbers"),
        ('command = "fuse"', 'command = "demo"', "line 1: it is for `chimera demo`: give it to that"),
        ('name = "style:style-transfer"', 'name = "stile-transfer"', "line 10: no fusion-generator is named"),
        ('name = "style:style-transfer"', "name = 3", "line 10: fuser.name must be a word"),
        (
            'name = "style:style-transfer"',
            'nme = "x"',
            "line 10: fuser.nme is unknown (did you mean 'name'?)",
        ),
        (
            "iterations = 2",
            "iteration = 2",
            "line 12: fusion-generator style-transfer has no option 'iteration' (did",
        ),
        (
            "iterations = 2",
            "iterations = 0",
            "line 12: option 'iterations' of fusion-generator style-transfer",
        ),
        ("style_levels = [1]", 'style_levels = ["a"]', "line 13: option 'style-levels' of fusion-generator"),
        (
            'pool = "avg"',
            'pool = "a"',
            "line 15: option 'pool' of feature-encoder timm: input should be 'max' or",
        ),
        (
            "[fuser.options.encoder.options]",
            "[fuser.options.encoder]\nname = 'tim'\n[fuser.options.encoder.options]",
            "line 15: no feature-encoder is named 'tim'",
        ),
    ],
)
def test_a_mistake_in_the_file_names_file_line_and_key(
    here: Any, config: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    config.write_text(config.read_text().replace(old, new))
    code, out, err = here("fuse", "--config", config)
    assert (code, out) == (2, "")
    assert f"file of options {config} " in err and message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


def test_a_wrong_option_in_the_registry_names_file_line_and_key(here: Any, pair: Any, tmp_path: Path) -> None:
    for number, (text, message) in enumerate(
        (
            (
                "[plugins.style.options.style-transfer]\niteration = 7\n",
                "line 2: fusion-generator style-transfer has no option",
            ),
            ("[plugins.timm.options.timm]\npool = 'mx'\n", "line 2: option 'pool' of feature-encoder timm"),
            (
                "[plugins.timm.options.tim]\npool = 'max'\n",
                "line 1: plugin timm offers no 'tim' (did you mean 'timm'?)",
            ),
        )
    ):
        mine = tmp_path / f"mine{number}.toml"  # a registry is read once in a process
        mine.write_text(text)
        code, _, err = here(
            "--registry", mine, "fuse", *pair, "--fuser", "style-transfer", "-o", tmp_path / "o.png"
        )
        assert (code, len(err.splitlines())) == (2, 1), err
        assert f"registry {mine} {message}" in err


def test_a_missing_config_file_is_said(here: Any, tmp_path: Path) -> None:
    code, _, err = here("fuse", "--config", tmp_path / "gone.toml")
    assert code == 2
    assert "gone.toml does not exist" in err


def test_naming_another_fuser_on_the_line_leaves_the_files_options(here: Any, config: Path) -> None:
    code, _, err = here("fuse", "--config", config, "--fuser", "nobody")
    assert (code, "no fusion-generator is named 'nobody'" in err) == (2, True)


def test_the_file_that_the_documentation_shows_is_taken(here: Any, tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "options.md"
    (text,) = re.findall(
        r"^```toml\n(command = .*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "c.toml").write_text(text)
    code, out, err = here("fuse", "--config", tmp_path / "c.toml", "--help")
    assert code == 0, err
    unfolded = "".join(out.split())
    for value in ("100", "avg"):
        assert f"[default:{value},fromfileofoptions{tmp_path}/c.tomlline" in unfolded


def test_a_file_of_windows_and_paths_beside_it_serve_every_command(
    here: Any, picture: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "project" / "two"
    for kind, colour in (("dog", (200, 30, 20)), ("horse", (20, 30, 200))):
        for index in range(6):
            made = picture(f"{kind}{index}.png", size=(24, 24), colour=colour)
            (data / kind).mkdir(parents=True, exist_ok=True)
            made.rename(data / kind / f"{index}.png")
    file = tmp_path / "project" / "options.toml"
    text = 'size = 16\r\n[source]\r\nname = "folder"\r\n[source.options]\r\nroot = "two"\r\n[encoder]\r\nname = "cnn"\r\n'
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    command = ("encoder", "train", "--config", file, "--batch", "4", "--images", "8", "--dry-run")
    code, out, err = here(*command)
    assert code == 0, err
    assert "images: 10 to learn from, 2 to validate on" in out
    # A folder of that name where the command is called goes before it.
    (tmp_path / "elsewhere" / "two").mkdir()
    code, _, err = here(*command)
    assert code == 2 and "'two' holds no images" in err

    fusing = tmp_path / "project" / "fuse.toml"
    fusing.write_text(
        'command = "fuse"\nparents = ["two/dog/0.png", "two/horse/0.png"]\nsize = 32\nfuser = "copy"\nweights = [1, 0]\n'
    )
    (tmp_path / "elsewhere" / "two").rmdir()
    code, _, err = here("fuse", "--config", fusing, "-o", "o.png")
    assert code == 0, err

    experiment = tmp_path / "project" / "experiment.toml"
    experiment.write_bytes(
        b"\xef\xbb\xbf"
        + b'name = "x"\nsize = 32\nseeds = [0]\nweights = [[0.5, 0.5]]\n[parents]\nsource = "folder"\nsample = 1\n'
        + b'options = { root = "two" }\n[judge]\nencoder = "robust-small-64"\n[fusers.copy]\nfuser = "copy"\n'
    )
    code, _, err = here("compare", experiment, "--dry-run", "--run", tmp_path / "r")
    assert code == 0, err
