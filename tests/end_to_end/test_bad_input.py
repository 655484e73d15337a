"""Bad input: one line on stderr, exit 2, no traceback, nothing written."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def huge_header() -> bytes:
    """A PNG that claims 30,000 x 30,000 pixels and holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


LONG = "o" * 300
EXPERIMENT = """name = "long"
size = 32
seeds = [0]
weights = [[0.5, 0.5]]
[parents]
tuples = [["a.jpg", "b.jpg"]]
[fusers.a]
fuser = "copy"
"""


@pytest.fixture
def bad(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """A folder with two good pictures, a.jpg and b.jpg, and every kind of bad one."""
    whole = picture("a.jpg", size=(200, 150)).read_bytes()
    picture("b.jpg", colour=(20, 200, 40))
    (tmp_path / "zero.jpg").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("this is not a picture")
    (tmp_path / "huge.png").write_bytes(huge_header())
    Image.new("RGB", (9, 1)).save(tmp_path / "line.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "long.toml").write_text(EXPERIMENT)
    for name in ("gone", "gone.jpg", "gone.safetensors"):
        (tmp_path / name).symlink_to("nowhere.jpg")
    picture("c.png"), picture("mask.png")
    (tmp_path / "linked-2.png").symlink_to("b.jpg")
    os.link(tmp_path / "b.jpg", tmp_path / "hard.png")
    return tmp_path


STYLE = ["a.jpg", "b.jpg", "--fuser", "style-transfer"]
CASES: list[tuple[list[str], str]] = [
    (["a.jpg", "missing.jpg"], "no file"),
    (["a.jpg", "folder"], "is a folder"),
    (["a.jpg", "zero.jpg"], "empty (0 bytes)"),
    (["a.jpg", "cut.jpg"], "damaged or cut short"),
    (["a.jpg", "text.png"], "text.png"),
    (["a.jpg", "huge.png"], "30000 x 30000"),
    (["a.jpg", "line.png"], "'line.png' is 9 x 1, too elongated"),
    (["a.jpg", "unicorn"], "there is no picture of 'unicorn'"),
    (["a.jpg", "b.jpg", "-o", "nowhere/out.png"], "no folder"),
    (["a.jpg", "b.jpg", "-o", "out.gif"], "'out.gif' would move, and one picture does not: add --sweep 9"),
    (["a.jpg", "b.jpg", "-o", "OUT.GIF", "--n", "2"], "'OUT.GIF' would move"),
    (["a.jpg", "b.jpg", "-o", "out.bmp"], "the unknown ending '.bmp': let it end in .png or .jpg"),
    (["a.jpg", "b.jpg", "-o", "out.mp4"], "'out.mp4' would move, and one picture does not: add --sweep 9"),
    (["a.jpg", "b.jpg", "-o", "-", "--json"], "--json and -o - both want the standard output"),
    (["a.jpg", "b.jpg", "-o", "-", "--n", "2"], "output '-' takes one picture, not 2: name a file"),
    (["a.jpg", "b.jpg", "-o", "out.png", "--format", "jpg"], "'out.png' and --format jpg contradict"),
    (
        ["a.jpg", "b.jpg", "-o", "out.png", "--quality", "90"],
        "quality is for .jpg or .webp, and PNG has none",
    ),
    (
        ["a.jpg", "b.jpg", "-o", "out.jpg", "--background", "transparent"],
        "JPEG keeps no transparency: name a .png or .webp or .tif, or leave out --background transparent",
    ),
    (["a.jpg", "b.jpg", "-o", "s3://bucket/out.png"], "'s3://bucket/out.png' is an address: name a file"),
    (["-", "-"], "the standard input holds one picture: name a file for the other"),
    (
        ["ftp://example.com/cat.jpg", "b.jpg"],
        "'ftp://example.com/cat.jpg' is an address: addresses are not read, so download it first",
    ),
    (
        ["https://me:secret@example.com/cat.jpg", "b.jpg"],
        "'https://example.com/cat.jpg': an address with a password",
    ),
    (["a.jpg", "b.jpg", "--mask", "s3://here/a.png"], "'s3://here/a.png' is an address"),
    (["a.jpg", "b.jpg", "--background", "black"], "background"),
    (["a.jpg", "b.jpg", "-o", "a.jpg/out.png"], "is a file"),
    (["a.jpg", "b.jpg", "-o", "folder"], "is a folder"),
    (["a.jpg", "b.jpg", "-o", "out.bmp"], "out.bmp"),
    (["a.jpg", "b.jpg", "-o", "out.gif"], "out.gif"),
    (["a.jpg", "b.jpg", "--fuser", "stile-transfer"], "did you mean 'style-transfer'?"),
    ([*STYLE, "--iteration", "5"], "--iterations"),
    ([*STYLE, "--iterations", "0"], "1<=x<=5000"),
    (
        ["a.jpg", "b.jpg", "--style-levels", "1"],
        "No such option '--style-levels': it belongs to style-transfer; name it with --fuser style-transfer",
    ),
    (
        ["a.jpg", "b.jpg", "--iterations", "5"],
        "it belongs to feature-morph and style-transfer; name one with --fuser",
    ),
    (
        ["a.jpg", "b.jpg", "--source.root", "x"],
        "; name one with --source",
    ),
    (
        ["a.jpg", "b.jpg", "--preset", "report-style"],
        "auto has no preset 'report-style': it belongs to style-transfer",
    ),
    (["a.jpg", "b.jpg", "--head-bx", "0,0,1,1"], "--head-box"),
    (["a.jpg", "b.jpg", "--head-box", "1,2"], "left,top,right,bottom"),
    ([*STYLE, "--optimizer", "sgd"], "lbfgs"),
    ([*STYLE, "--encoder", "tim"], "did you mean 'timm'?"),
    ([*STYLE, "--encoder.model", "resnet1"], "timm has no model 'resnet1'"),
    ([*STYLE, "--style-levels", "9"], "levels 0 to 4"),
    ([*STYLE, "--style-crop", "1,2"], "left,top,right,bottom"),
    ([*STYLE, "--preset", "report-stile"], "did you mean 'report-style'?"),
    (["a.jpg"], "two parents or more"),
    ([], "two parents or more"),
    (["a.jpg", "b.jpg", "--weights", "0,0"], "must sum to 1"),
    (["a.jpg", "b.jpg", "--weights", "70%,.3"], "write % behind each of the weights"),
    (["a.jpg", "b.jpg", "--seed", "2147483648"], "2147483647"),
    (
        ["a.jpg", "b.jpg", "--seed", "2147483647", "--n", "2"],
        "the last of 2 is 2147483648: take another --seed",
    ),
    (["a.jpg", "b.jpg", "--n", "2", "-o", "o" * 251 + ".png"], "name is too long"),
    (["gone.jpg", "b.jpg"], "'gone.jpg' is a broken link: there is no 'nowhere.jpg'"),
    (["gone", "b.jpg"], "'gone' is a broken link"),
    (["c.png", "b.jpg", "-o", "c.png"], "output 'c.png' is a parent, which would be lost: name another"),
    (["folder/../c.png", "b.jpg", "-o", "c.png"], "output 'c.png' is a parent"),
    (["a.jpg", "b.jpg", "-o", "hard.png"], "output 'hard.png' is a parent"),
    (["a.jpg", "b.jpg", "--n", "2", "-o", "linked.png"], "output 'linked-2.png' is a parent"),
    (["a.jpg", "b.jpg", "--mask", "mask.png", "-o", "./mask.png"], "is a mask, which would be lost"),
    (["a.jpg", "b.jpg", "--weights", "-.5,1.5"], "0 or more"),
    (["a.jpg", "b.jpg", "--weights", ".3,.3,.4"], "3 weights"),
    (["a.jpg", "b.jpg", "--weights", "half,half"], "are not numbers"),
    (["a.jpg", "b.jpg", "--weights", "nan,1"], "0 or more"),
    (["a.jpg", "b.jpg", "--size", "0"], "size must lie between"),
    (["a.jpg", "b.jpg", "--size", "big"], "not a valid integer"),
    (["a.jpg", "b.jpg", "--n", "0"], "'--n'"),
    (["a.jpg", "b.jpg", "--n", "2", "--sweep", "3"], "leave one out"),
    (["a.jpg", "b.jpg", "--triangle", "3"], "three parents, not 2"),
    (["a.jpg", "b.jpg", "a.jpg", "--triangle", "3", "--sweep", "3"], "leave one out"),
    (["a.jpg", "b.jpg", "a.jpg", "--triangle", "3", "--weights", "1,1,1"], "leave out --weights"),
    (["a.jpg", "b.jpg", "--device", "tpu"], "unknown device 'tpu'"),
    (["a.jpg", "b.jpg", "--device", "cuda:99"], "not on this machine"),
    (["a.jpg", "b.jpg", "--mask", "missing.png"], "no file"),
    (["a.jpg", "b.jpg", "--source", "folderr"], "did you mean 'folder'?"),
    (["dog", "cat", "--source", "folder"], "needs the option 'root'"),
    (["dog", "cat", "--source", "folder", "--source.root", "folder"], "holds no images"),
]


@pytest.mark.parametrize(("args", "message"), CASES, ids=[" ".join(args) for args, _ in CASES])
def test_fuse_refuses_bad_input_in_one_line(
    here: Any, bad: Path, monkeypatch: Any, args: list[str], message: str
) -> None:
    monkeypatch.chdir(bad)
    before = sorted(p.name for p in bad.rglob("*"))
    code, out, err = here("fuse", *args)
    assert code == 2, err
    assert message in err
    assert err.startswith("chimera: ")
    assert len(err.splitlines()) == 1
    assert out == ""
    assert sorted(p.name for p in bad.rglob("*")) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fuze"], "did you mean 'fuse'?"),
        (["plugins", "show", "style"], ""),
        (["plugins", "show", "stiletransfer"], "did you mean"),
        (["plugins", "lst"], "list"),
        (["source", "info", "foldr", "--root", "x"], "did you mean 'folder'?"),
        (["source", "info", "folder", "--root", "missing"], "does not exist"),
        (["source", "info", "folder", "--root", "a.jpg"], "is a file"),
        (
            ["source", "info", "folder", "--root", "https://a.org/x"],
            "'https://a.org/x' is an address: addresses",
        ),
        (
            ["score", "https://a.org/x.png", "--parents", "a.jpg", "b.jpg"],
            "'https://a.org/x.png' is an address",
        ),
        (["source", "preview", "folder", "--root", ".", "-o", "gone/x.png"], "no folder"),
        (["source", "preview", "folder", "--root", ".", "--split", "train"], "no split 'train'"),
        (
            ["source", "preview", "folder", "--root", ".", "-o", "c.png"],
            "output 'c.png' is a picture of source",
        ),
        (
            ["fuse", "x", "y", "--fuser", "copy", "--source", "folder", "--source.root", ".", "-o", "c.png"],
            "output 'c.png' is a picture of source",
        ),
        (["source", "info", "folder", "--root", "gone"], "is a broken link"),
        (["fuse", "a.jpg", "b.jpg", "--config", "gone"], "is a broken link"),
        (["fuse", "a.jpg", "b.jpg", "--fuser", "gone.safetensors"], "is a broken link"),
        (["demo", "--run", "a.jpg"], "a.jpg"),
        (["--registry", "gone.toml", "plugins", "list"], "does not exist"),
        (["compare", "https://a.org/e.toml"], "'https://a.org/e.toml' is an address: addresses are not read"),
        (
            ["fuse", "a.jpg", "b.jpg", "--config", "https://a.org/c.toml"],
            "'https://a.org/c.toml' is an address",
        ),
        (
            ["fuse", "a.jpg", "b.jpg", "--fuser", "https://a.org/f.safetensors"],
            "'https://a.org/f.safetensors' is an address",
        ),
        (["source", "info", "folder", "--root", LONG], "the name is too long"),
        (["encoder", "evaluate", LONG], "the name is too long"),
        (["fuse", "a.jpg", "b.jpg", "--fuser", LONG], "the name is too long"),
        (["score", LONG, "--parents", "a.jpg", "b.jpg"], "the name is too long"),
        (["runs", "show", LONG], "the name is too long"),
        (["report", LONG], "the name is too long"),
        (["compare", "long.toml", "--run", LONG, "--dry-run"], "the name is too long"),
    ],
)
def test_other_commands_refuse_bad_input_in_one_line(
    here: Any, bad: Path, monkeypatch: Any, args: list[str], message: str
) -> None:
    monkeypatch.chdir(bad)
    code, _, err = here(*args)
    if message == "":
        assert code == 0, err
        return
    assert code == 2, err
    assert message in err
    assert len(err.splitlines()) == 1


def test_one_pixel_is_a_parent_like_any_other(
    here: Any, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    Image.new("RGB", (1, 1), (200, 0, 0)).save(tmp_path / "dot.png")
    out = tmp_path / "out.png"
    for pair, fuser in (
        ((tmp_path / "dot.png", picture("b.png")), []),  # whichever is found to suit
        ((picture("b.png"), tmp_path / "dot.png"), ["--fuser", "style-transfer", "--iterations", 2]),
    ):
        code, _, err = here("fuse", *pair, *fuser, "--size", "32", "-o", out)
        assert code == 0, err
        assert Image.open(out).size[1] == 32


def test_an_installed_command_prints_no_traceback_either(chimera: Any, tmp_path: Path) -> None:
    done = chimera("fuse", tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("delay_s", [0.3, 2.0, 6.0])
def test_ctrl_c_exits_130_without_a_traceback_and_leaves_nothing(
    tmp_path: Path, picture: Callable[..., Path], delay_s: float
) -> None:
    picture("a.png"), picture("b.png")
    command = [
        Path(sys.executable).parent / "chimera",
        "fuse",
        "a.png",
        "b.png",
        "--fuser",
        "style-transfer",
        "--coat",
        "gram",
        "--iterations",
        "5000",
        "-o",
        "out.png",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


SLOW_MODULE = """
import os, signal, time
try:
    for _ in range(PRESSES):
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)
except BaseException:
    print("torn")
else:
    print("whole")
"""
WAITING = """
from chimera_core.cli._interrupts import end_by_signals
end_by_signals()
import slow
import time
time.sleep(20)
"""


@pytest.mark.parametrize(("presses", "end"), [(1, "whole"), (2, "torn")])
def test_ctrl_c_waits_for_an_import_to_end_but_not_the_second_time(
    tmp_path: Path, presses: int, end: str
) -> None:
    (tmp_path / "slow.py").write_text(SLOW_MODULE.replace("PRESSES", str(presses)))
    (tmp_path / "program.py").write_text(WAITING if presses == 1 else WAITING.replace("20", "0"))
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=15
    )
    assert done.stdout.split() == [end], done.stderr
    assert ("KeyboardInterrupt" in done.stderr) == (presses == 1)
