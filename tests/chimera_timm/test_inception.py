"""The network of FID, against torch-fidelity's, by weights drawn at random: the real ones are a download."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from chimera_timm import inception
from torch import Tensor

from chimera_core import load_encoder
from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring.judge.judge import Judge, load_judge

NAME = "inception-2015-12-05"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw weights under which every layer passes something on."""
    generator = torch.Generator().manual_seed(0)
    network = inception._network()
    for name, tensor in network.state_dict().items():
        if tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        elif name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.1, generator=generator)
    path = tmp_path_factory.mktemp("inception") / "drawn.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def judge(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    monkeypatch.setattr(inception, "find_asset", lambda name: weights)
    return load_judge(default_host(), NAME)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(
        0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )


@pytest.mark.slow
def test_features_and_logits_are_torch_fidelitys(judge: Judge, weights: Path, images: Tensor) -> None:
    fidelity = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3", reason="needs the extra parity"
    )
    theirs = fidelity.FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits"], feature_extractor_weights_path=str(weights)
    )
    with torch.no_grad():
        features, logits = theirs(images)
        own = judge.encoder(images / 255)
    scale = float(features.std())
    assert scale > 0
    torch.testing.assert_close(judge.features(images), features, atol=1e-3 * scale, rtol=1e-3)
    torch.testing.assert_close(own, logits, atol=1e-3 * float(logits.std()), rtol=1e-3)


@pytest.mark.slow
def test_a_judge_leaves_the_resizing_to_it(judge: Judge, images: Tensor) -> None:
    assert judge.name == NAME and judge.looks_at is None and "its own way" in judge.resize
    with torch.no_grad():
        alone = judge.encoder.embed(images / 255)
    torch.testing.assert_close(judge.features(images), alone)
    assert alone.shape == (3, 2048) and judge.coat_sizes == []
    # Two pixels become rows of 299 by TensorFlow's rule: from the corner, the last half repeats the last pixel.
    two = inception._like_tensorflow(torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2))[0, 0, 0]
    assert two[0] == 0 and two[75] == pytest.approx(75 * 2 / 299) and bool((two[150:] == 1).all())


def test_levels_are_refused_and_other_files_too(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge.encoder.feature_maps(torch.rand(1, 3, 64, 64), []) == []
    with pytest.raises(ConfigError, match="no levels"):
        judge.encoder.feature_maps(torch.rand(1, 3, 64, 64), [0])
    other = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3)}, other)
    monkeypatch.setattr(inception, "find_asset", lambda name: other)
    with pytest.raises(DataError, match=r"other\.pth"):
        load_encoder(NAME)


def test_without_the_file_and_a_network_the_error_says_where_to_get_it(
    no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path / "assets"))
    with pytest.raises(ChimeraError, match=r"pt_inception-2015-12-05-6726825d\.pth") as caught:
        load_encoder(NAME)
    assert "\n" not in str(caught.value)
