"""timm models of the hub, from a stand-in, and exported encoders by their address."""

from __future__ import annotations

import json
from pathlib import Path

import chimera_cnn
import pytest
import safetensors.torch
import timm
import torch
from toys.hub import Hub, Repository

from chimera_core import load_encoder
from chimera_core.api import ConfigError, DataError, RunError
from chimera_core.models.encoders import resolve_encoder
from chimera_core.plugins.discovery import default_host

pytest.importorskip("huggingface_hub")


@pytest.fixture
def theirs(hub: Hub) -> torch.nn.Module:
    """A model as timm pushes it, with five classes and a mean of its own."""
    torch.manual_seed(0)
    model: torch.nn.Module = timm.create_model("test_resnet", num_classes=5).eval()
    settings = {
        "architecture": "test_resnet",
        "num_classes": 5,
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "input_size": [3, 96, 96]},
    }
    files = {
        "config.json": json.dumps(settings).encode(),
        "model.safetensors": safetensors.torch.save(dict(model.state_dict())),
    }
    hub.repositories["models", "owner/tiny"] = Repository(files)
    return model


def test_a_timm_model_of_the_hub_is_an_encoder_with_its_own_preparation(
    hub: Hub, theirs: torch.nn.Module
) -> None:
    encoder = load_encoder("timm", model="hf-hub:owner/tiny")
    x = torch.rand(2, 3, 96, 96)
    mean = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(encoder(x), theirs((x - mean) / 0.5), atol=1e-6)
    assert encoder(x).shape == (2, 5)
    hub.stop()
    again = load_encoder("timm", model="hf-hub:owner/tiny")
    assert torch.equal(again(x), encoder(x))


def test_what_is_no_timm_model_is_one_line(hub: Hub, theirs: torch.nn.Module) -> None:
    weights = {"model.safetensors": b"x"}
    for name, files, error, words in (
        ("owner/other", {"config.json": b'{"model_type": "bert"}'}, ConfigError, "no model of timm: its config.json"),
        ("owner/newer", {"config.json": b'{"architecture": "resnet_of_2030"}'}, ConfigError, "update timm"),
        ("owner/broken", {"config.json": b"{"}, DataError, "config.json is no JSON"),
        ("owner/pickled", {"config.json": b'{"architecture": "test_resnet"}', "pytorch_model.bin": b"x"}, RunError, "no such file"),
        ("owner/damaged", {"config.json": b'{"architecture": "test_resnet"}', **weights}, DataError, "model.safetensors"),
    ):  # fmt: skip
        hub.repositories["models", name] = Repository(files)
        with pytest.raises(error, match=words) as caught:
            load_encoder("timm", model=f"hf-hub:{name}")
        assert "\n" not in str(caught.value)


def test_an_exported_encoder_is_used_by_its_address_and_recorded_with_its_commit(hub: Hub) -> None:
    file = Path(chimera_cnn.__file__).parent / "models" / "robust-small-64.safetensors"
    hub.repositories["models", "owner/small"] = Repository({"small.safetensors": file.read_bytes()})
    commit = hub.repositories["models", "owner/small"].branches["main"]
    choice = resolve_encoder(default_host(), "hf://owner/small/small.safetensors")
    assert choice.as_table() == {"name": f"hf://owner/small/small.safetensors@{commit}", "options": {}}
    assert choice.label == "small.safetensors"
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(choice.load()(x), load_encoder("robust-small-64")(x))
