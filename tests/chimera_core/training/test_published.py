"""A trained fuser put onto the hub, a stand-in of it, and used by name on a machine that has nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from toys.hub import Hub

from chimera_core.api import find_hub_file
from chimera_core.components.trained import find_trained
from chimera_core.models.contents import contents_of
from chimera_core.models.fusers import resolve_fuser
from chimera_core.plugins import discovery as plugins

pytest.importorskip("huggingface_hub")
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tiny: Path, pictures: Path, here: Here, train_once: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("CHIMERA_ASSETS", str(tiny / "assets"))
    plugins._discover_once.cache_clear()
    line = ["fuser", "train", "mean-image", "--source", "folder", "--source.root", pictures, "--run", "one"]
    options = ["--preset", "quick", "--judge", "none", "--precision", "fp32", "--device", "cpu"]
    return train_once(tiny, lambda: here(*line, *options))


@pytest.fixture
def hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_login")
    return hub


def published(here: Here, *more: object) -> str:
    code, out, err = here(
        "fuser", "export", "one", "--to", "hf://tester/creature", "--licence", "CC-BY-4.0", *more
    )
    assert code == 0, err
    return out.strip().splitlines()[-1]


@pytest.mark.slow
def test_an_export_travels_by_the_hub_and_is_used_by_its_address(
    run: Path, hub: Hub, here: Here, tmp_path: Path
) -> None:
    here("fuse", "class-0", "class-1", "--fuser", "one", "--seed", 3, "-o", "before.png")
    address = published(here, "--dtype", "fp32")
    repository = hub.repositories["models", "tester/creature"]
    commit = repository.branches["main"]
    assert address == f"hf://tester/creature/one.safetensors@{commit}"
    assert set(repository.commits[commit]) == {
        "one.safetensors",
        "README.md",
        "samples.png",
        "sweeps.png",
        "progress.png",
    }
    assert "Bearer hf_of_the_login" in hub.tokens
    shutil.rmtree(run)
    for name in (address, "hf://tester/creature/one.safetensors"):
        code, _, err = here("fuse", "class-0", "class-1", "--fuser", name, "--seed", 3, "-o", "after.png")
        assert code == 0, err
    from PIL import Image

    assert Image.open("after.png").tobytes() == Image.open("before.png").tobytes()
    assert Image.open("after.png").text["chimera.fuser"] == "one"  # type: ignore[attr-defined]
    host = plugins.default_host()
    trained = find_trained(host, "fusion-generator", "hf://tester/creature/one.safetensors")
    assert trained is not None and trained.name == address
    assert resolve_fuser(host, address).identity()["weights"] == contents_of(host, trained)
    # What lies there is used without the hub; another file in its place is refused.
    hub.stop()
    assert here("fuse", "class-0", "class-1", "--fuser", address, "-o", "offline.png")[0] == 0
    file = find_hub_file(address)
    file.write_bytes(file.read_bytes()[:-1] + b"\x55")
    code, _, err = here("fuse", "class-0", "class-1", "--fuser", address, "-o", "no.png")
    assert code == 2 and "remove it, and it will be downloaded anew" in err and not Path("no.png").exists()


def test_the_card_says_what_the_run_knows_and_nothing_of_this_machine(
    run: Path, hub: Hub, here: Here, tmp_path: Path
) -> None:
    published(here)
    repository = hub.repositories["models", "tester/creature"]
    files = repository.commits[repository.branches["main"]]
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-4.0\nlibrary_name: chimera-toolkit\n")
    for words in (
        "# creature\n",
        "`fakes:mean-image` at 16 px",
        "chimera fuse A B --fuser hf://tester/creature/one.safetensors",
        "source `folder:folder`",
        "classes (3): class-0, class-1, class-2",
        "## Training\n\n    ",
        "80 images in",
        "![Samples](samples.png)",
    ):
        assert words in card, words
    assert not any(str(tmp_path).encode() in body for body in files.values())
    # A card that somebody has written since stays.
    repository.commit({"README.md": b"by hand"})
    code, _, err = here(
        "fuser", "export", "one", "--to", "hf://tester/creature/two.safetensors", "--licence", "mit"
    )
    assert code == 0 and err == "chimera: the card that is there stays\n"
    files = repository.commits[repository.branches["main"]]
    assert files["README.md"] == b"by hand" and {"one.safetensors", "two.safetensors"} <= set(files)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([], "say where to: -o FILE.safetensors, or --to hf://owner/name"),
        (["--to", "hf://tester/creature"], "give --licence, such as cc-by-4.0"),
        (["--to", "tester/creature", "--licence", "mit"], "is not hf://owner/name"),
        (["--to", "hf://tester/creature/x.bin", "--licence", "mit"], "FILE.safetensors"),
        (["--to", "hf://tester/creature/x.safetensors@v1", "--licence", "mit"], "without revision"),
    ],
)
def test_what_cannot_be_published_is_one_line_before_anything_is_written(
    run: Path, hub: Hub, here: Here, line: list[str], words: str
) -> None:
    code, out, err = here("fuser", "export", "one", *line)
    assert (code, out) == (2, "") and words in err and len(err.splitlines()) == 1
    assert not hub.repositories and not hub.asked


def test_a_hub_that_does_not_answer_is_one_line(run: Path, hub: Hub, here: Here) -> None:
    hub.stop()
    code, _, err = here("fuser", "export", "one", "--to", "hf://tester/creature", "--licence", "mit")
    assert (
        code == 1
        and "cannot publish hf://tester/creature/one.safetensors" in err
        and len(err.splitlines()) == 1
    )
    code, _, err = here(
        "fuse", "class-0", "class-1", "--fuser", "hf://tester/creature/one.safetensors", "-o", "x.png"
    )
    assert (
        code == 1
        and "cannot download hf://tester/creature/one.safetensors" in err
        and len(err.splitlines()) == 1
    )


def test_a_picture_of_a_run_that_leads_elsewhere_is_not_published(
    run: Path, hub: Hub, here: Here, tmp_path: Path
) -> None:
    (tmp_path / "private.png").write_bytes(b"private")
    for sample in (run / "samples").glob("*.png"):
        sample.unlink()
        sample.symlink_to(tmp_path / "private.png")
    code, _, err = here("fuser", "export", "one", "--to", "hf://tester/creature", "--licence", "mit")
    assert code == 2 and "is not read" in err
    assert not hub.repositories
