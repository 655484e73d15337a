"""An encoder in one file, and models of the registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from chimera_core import load_encoder
from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.plugins import discovery as plugins

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny: Path, pictures: Path, here: Here, train_once: Callable[..., Path]) -> Path:
    options = ["--source.root", pictures, "--encoder", "tiny", "--trainer", "plain", "--size", 16]
    rest = ["--images", 48, "--batch", 8, "--precision", "fp32", "--device", "cpu", "--run", "one"]
    return train_once(tiny, lambda: here("encoder", "train", "--source", "folder", *options, *rest))


def exported(run: Path, here: Here, *more: object) -> Path:
    code, out, err = here("encoder", "export", "one", "-o", "tiny.safetensors", *more)
    assert (code, out) == (0, "tiny.safetensors\n"), err
    return Path("tiny.safetensors").resolve()


def header_of(path: Path) -> Any:
    with safetensors.safe_open(path, "pt") as file:
        return json.loads(file.metadata()["chimera"])


def write(path: Path, written: Any, **tensors: torch.Tensor) -> Path:
    save_file(tensors or {"x": torch.zeros(1)}, path, metadata={"chimera": json.dumps(written)})
    return path


@pytest.mark.slow
def test_a_file_gives_the_run_s_logits(run: Path, here: Here) -> None:
    x = torch.rand(4, 3, 16, 16)
    of_run = load_encoder("one")(x)
    file = exported(run, here, "--dtype", "fp32")
    shutil.rmtree(run)
    encoder = load_encoder(str(file))
    assert not encoder.training
    assert torch.equal(encoder(x), of_run)


def test_half_as_many_bytes_give_nearly_the_same(run: Path, here: Here) -> None:
    x = torch.rand(4, 3, 16, 16)
    file = exported(run, here)
    assert {t.dtype for n, t in load_file(file).items() if t.ndim > 1} == {torch.float16}
    torch.testing.assert_close(load_encoder(str(file))(x), load_encoder("one")(x), atol=2e-3, rtol=0)


def test_numbers_is_deprecated_and_means_dtype(run: Path, here: Here) -> None:
    code, _, err = here("encoder", "export", "one", "-o", "tiny.safetensors", "--numbers", "bf16")
    assert code == 0 and "--numbers is deprecated: write --dtype" in err
    assert {t.dtype for n, t in load_file("tiny.safetensors").items() if t.ndim > 1} == {torch.bfloat16}


def test_a_file_says_what_it_is_and_nothing_of_where_it_was_made(
    run: Path, here: Here, tmp_path: Path
) -> None:
    file = exported(run, here)
    found = header_of(file)
    assert found["encoder"] == "tiny:tiny" and found["classes"] == ["class-0", "class-1", "class-2"]
    assert found["size"] == 16 and found["images"] == 48 and found["trainer"]["name"] == "tiny:plain"
    assert str(tmp_path.parent).encode() not in file.read_bytes()


def test_a_file_has_no_options(run: Path, here: Here) -> None:
    file = exported(run, here)
    with pytest.raises(ConfigError, match="has no option 'width'"):
        load_encoder(str(file), width=3)


@pytest.mark.parametrize(
    ("change", "message"),
    {
        "another format": (lambda s: s | {"format": 2}, "has format 2, this version reads 1: update"),
        "no words": (lambda s: None, "does not say which encoder it belongs to"),
        "a key too many": (lambda s: s | {"run": "rm"}, "run: "),
        "no component": (lambda s: s | {"encoder": "nobody:none"}, "nobody"),
        "another network": (lambda s: s | {"options": {"width": 5, "classes": 3}}, "has shape"),
        "a wrong option": (lambda s: s | {"options": {"width": 0}}, "width"),
    }.values(),
)
def test_a_stranger_s_file_is_refused(
    run: Path, here: Here, change: Callable[[Any], Any], message: str
) -> None:
    file = exported(run, here)
    write(file, change(header_of(file)), **load_file(file))
    with pytest.raises(ChimeraError, match=message):
        load_encoder(str(file))


def test_a_file_is_evaluated_on_the_data_of_a_training(run: Path, here: Here) -> None:
    file = exported(run, here, "--dtype", "fp32")
    attack = ["--attack", "pgd-20", "--json", "--device", "cpu"]
    code, of_run, err = here("encoder", "evaluate", "one", *attack)
    assert code == 0, err
    code, of_file, err = here("encoder", "evaluate", file, "--config", run / "config.toml", *attack)
    assert code == 0, err
    assert json.loads(of_file) == json.loads(of_run)
    code, _, err = here("encoder", "evaluate", file)
    assert code == 2 and "does not say on which data: give a training's --config" in err


def test_a_damaged_or_missing_file_is_refused(run: Path, here: Here) -> None:
    file = exported(run, here)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match="is damaged"):
        load_encoder(str(file))
    with pytest.raises(DataError, match=r"there is no file of weights 'gone\.safetensors'"):
        load_encoder("gone.safetensors")


def test_a_file_that_asks_for_a_huge_network_is_refused_before_it_is_built(run: Path, here: Here) -> None:
    written = {**header_of(exported(run, here)), "encoder": "cnn:cnn", "options": {"classes": 2_000_000_000}}
    huge = write(Path("huge.safetensors"), written)
    with pytest.raises(DataError, match=r"'huge\.safetensors' has no tensor"):
        load_encoder(str(huge))


def test_a_file_may_not_bring_weights_from_elsewhere(run: Path, here: Here) -> None:
    written = {**header_of(exported(run, here)), "encoder": "timm:inception-2015-12-05", "options": {}}
    asking = write(Path("asking.safetensors"), written)
    with pytest.raises(
        ConfigError, match=r"'asking\.safetensors' asks for .*: add --fetch if you trust the file"
    ):
        load_encoder(str(asking))


def test_export_refuses_what_it_cannot_write(run: Path, here: Here) -> None:
    code, _, err = here("encoder", "export", "one", "-o", "tiny.pt")
    assert code == 2 and "must end in .safetensors" in err
    code, _, err = here("encoder", "export", "two", "-o", "tiny.safetensors")
    assert code == 2 and "there is no run 'two'" in err


def test_a_model_of_the_registry_is_an_encoder_by_name(
    run: Path, here: Here, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimera_core.files.hashing import hash_file

    file = exported(run, here)
    assets = tiny / "assets"
    assets.mkdir()
    shutil.copy(file, assets / "given.safetensors")
    monkeypatch.setenv("CHIMERA_ASSETS", str(assets))
    (tiny / "registry.toml").write_text(
        '[models.given]\nencoder = "tiny:tiny"\nasset = "given"\nlicence = "CC0"\n'
        '[models.elsewhere]\nencoder = "timm:timm"\nfile = "elsewhere.safetensors"\nlicence = "CC0"\n'
        f'[assets.given]\nurl = "https://example.org/x"\nfilename = "given.safetensors"\n'
        f'size = {file.stat().st_size}\nsha256 = "{hash_file(file)}"\nlicence = "CC0"\n'
    )
    plugins._discover_once.cache_clear()
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(load_encoder("given")(x), load_encoder(str(file))(x))
    with pytest.raises(DataError, match=r"model 'elsewhere' should lie in '.*models.elsewhere.safetensors'"):
        load_encoder("elsewhere")


def test_no_folder_of_the_machine_goes_along_in_whatever_option_it_stands(tmp_path: Path) -> None:
    from chimera_core.models.export import write_exported
    from chimera_core.models.header import ExportedFuser

    nested = {
        "condition": {"name": "/home/me/runs/mine", "options": {"root": "/home/me/secret"}},
        "members": ["cat=folder:root=/home/me/secret/cats"],
    }
    written = ExportedFuser(
        fuser="gan:gan",
        options=nested,
        classes=("a", "b"),
        accepts=("class",),
        size=16,
        facts={"seen": "/home/me/secret/x.png"},
    )
    write_exported(tmp_path / "f.safetensors", {"x": torch.zeros(1)}, written, dtype="fp32")
    assert (
        b"/home" not in (tmp_path / "f.safetensors").read_bytes()
        and b"secret/" not in (tmp_path / "f.safetensors").read_bytes()
    )
    assert header_of(tmp_path / "f.safetensors")["options"]["condition"] == {
        "name": "mine",
        "options": {"root": "secret"},
    }
