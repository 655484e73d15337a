"""Whatever a name means, a component or something trained, it is one kind of choice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chimera_core.components.trained import model_file
from chimera_core.errors import ConfigError, DataError, PluginError
from chimera_core.models.encoders import resolve_encoder
from chimera_core.models.fusers import resolve_fuser
from chimera_core.plugins.discovery import default_host


def test_an_encoder_by_any_name_has_a_label_a_table_and_an_identity() -> None:
    host = default_host()
    plain, trained = resolve_encoder(host, "timm"), resolve_encoder(host, "robust-lite0")
    assert plain.label == "tf_efficientnet_lite0" and trained.label == "robust-lite0"
    assert plain.as_table()["name"] == "timm:timm" and plain.as_table()["options"]["model"] == plain.label
    assert trained.as_table() == {"name": "robust-lite0", "options": {}}
    # It is built by the same code, and known by its weights in place of options.
    assert trained.component == plain.component and trained.identity()["code"] == plain.identity()["code"]
    assert trained.identity().keys() == {"weights", "code"}


def test_a_trained_encoder_has_one_identity_wherever_its_file_lies(tmp_path: Path) -> None:
    host = default_host()
    copied = tmp_path / "copied.safetensors"
    shutil.copyfile(model_file(host, "robust-lite0"), copied)
    assert resolve_encoder(host, str(copied)).identity() == resolve_encoder(host, "robust-lite0").identity()
    assert resolve_encoder(host, str(copied)).label == "copied.safetensors"


def test_a_fuser_is_known_by_options_encoders_and_weights() -> None:
    host = default_host()
    plain, other = (resolve_fuser(host, "feature-morph", {"encoder": {"name": n}}) for n in ("timm", "cnn"))
    assert plain.identity()["named"] != other.identity()["named"] and "weights" not in plain.identity()
    trained = resolve_fuser(host, "person-cat")
    assert trained.label == "person-cat" and trained.component.full_name == "gan:gan"
    assert trained.identity()["weights"] and trained.identity()["component"]["name"] == "gan:gan"


def test_what_was_trained_takes_no_preset_and_an_encoder_no_options() -> None:
    host = default_host()
    with pytest.raises(ConfigError, match="model person-cat has the options that it was trained with"):
        resolve_fuser(host, "person-cat", preset="modern-64")
    with pytest.raises(ConfigError, match="model robust-lite0 has no option 'model'"):
        resolve_encoder(host, "robust-lite0", {"model": "resnet18"})


def test_a_name_that_means_nothing_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    host = default_host()
    for resolve in (resolve_encoder, resolve_fuser):
        with pytest.raises(PluginError, match="is named 'nothing'"):
            resolve(host, "nothing")
        with pytest.raises(DataError, match=r"gone\.safetensors"):
            resolve(host, str(tmp_path / "gone.safetensors"))
