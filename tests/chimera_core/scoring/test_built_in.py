"""The reference that comes along: what it gives without pictures, and what it does not, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import DataError
from chimera_core.files.hashing import hash_file
from chimera_core.files.weights import write_safetensors
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.plugins.discovery import default_host
from chimera_core.records import Level
from chimera_core.scoring import built_in_files
from chimera_core.scoring import parents as parents_seen
from chimera_core.scoring.built_in import BuiltInReference, tensors_of
from chimera_core.scoring.judge.judge import Judge, load_judge
from chimera_core.scoring.judge.names import default_judge
from chimera_core.scoring.parents import ParentImages
from chimera_core.scoring.pictures import read_squares
from chimera_core.scoring.reference import Reference, SeenReference, Unseen
from chimera_core.scoring.scorecard import Scorecard

ANIMALS = 120


class Coarse(FeatureEncoder):
    """Embeds an image as its coarse colours, times a weight; its one level has a stride of 8."""

    levels = (Level("coarse", channels=3, stride=8),)

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        return [F.avg_pool2d(x, 8) for _ in levels]

    def embed(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, 4).flatten(1) ** self.weight


def pictures(n: int, *, size: int, seed: int) -> Tensor:
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


@pytest.fixture(autouse=True)
def few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show judges little of the parents: what is tested here is the reference."""
    for few in ("_VIEWS", "_WHOLE", "_EXPOSURES", "_GROUND_VIEWS"):
        monkeypatch.setattr(parents_seen, few, 4)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a toy judge's file, with views at 64 px alone."""
    animals = pictures(ANIMALS, size=64, seed=0)
    tensors = tensors_of(Judge("toy", Coarse()), Reference(animals, size=64, seed=0), {64: animals[:100]})
    file = tmp_path_factory.mktemp("weights") / "toy.safetensors"
    with file.open("wb") as out:
        write_safetensors(out, tensors, metadata={"judge": "toy", "images": str(ANIMALS)})
    return file


@pytest.fixture
def shipped(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the toy judge's file come along."""
    monkeypatch.setattr(built_in_files, "FOLDER", toy.parent)
    monkeypatch.setitem(built_in_files.CHECKSUMS, "toy", hash_file(toy))
    return toy


def scored(judge: Judge, *, size: int) -> tuple[Scorecard, dict[str, float | None], dict[str, str | None]]:
    card = Scorecard([judge], reference=BuiltInReference(), size=size)
    parents = pictures(2, size=size, seed=1)
    prepared = card.prepare([ParentImages(n, p[None]) for n, p in zip("ab", parents, strict=True)])
    even = torch.tensor([[0.5, 0.5]])
    creature = parents.mean(0, keepdim=True)
    figures = card.measure(prepared, creature, even)[0] | card.measure_set(prepared, creature, even)
    return card, {k: f.value for k, f in figures.items()}, {k: f.reason for k, f in figures.items()}


@pytest.mark.slow
def test_what_is_read_is_what_the_pictures_would_give(shipped: Path) -> None:
    judge = Judge("toy", Coarse())
    found = BuiltInReference().seen_by(judge, size=64)
    wanted = Reference(pictures(ANIMALS, size=64, seed=0), size=64, seed=0).seen_by(judge)
    assert isinstance(found, SeenReference) and found.n == ANIMALS and found.plain is None
    assert found.views is not None and found.views.shape == (100, 48) and found.coats is not None
    probes = judge.textures(pictures(9, size=64, seed=3))
    torch.testing.assert_close(found.scale.of(probes), wanted.scale.of(probes), atol=2e-3, rtol=0)
    assert wanted.coats is not None and torch.equal(found.coats.mean, wanted.coats.mean)
    own = judge.features(pictures(100, size=64, seed=0))
    assert float((found.views.mean(0) - own.mean(0)).abs().max()) < 0.1


def test_leakage_realism_fused_and_score_are_given_and_distances_are_not(shipped: Path) -> None:
    card, values, reasons = scored(Judge("toy", Coarse()), size=64)
    assert card.reference_images == ANIMALS
    for name in ("leakage", "realism", "fused", "score"):
        assert values[name] is not None, reasons[name]
    for name in ("KID[toy]", "FD[toy]", "precision", "recall"):
        assert values[name] is None and "no features of whole pictures" in str(reasons[name])


def test_at_a_size_without_views_only_leakage_is_missing(shipped: Path) -> None:
    _, values, reasons = scored(Judge("toy", Coarse()), size=96)
    assert values["leakage"] is None and "views at 64 and 128 px, not at 96" in str(reasons["leakage"])
    assert values["score"] is not None and values["membership_0"] is not None


@pytest.mark.parametrize(
    ("judge", "size", "reason"),
    [
        (Judge("toy", Coarse()), 32, "serves from 64 px, not at 32"),
        (Judge("mine", Coarse()), 64, "knows the judges tf_efficientnet_lite2, robust-lite0"),
        (Judge("toy", Coarse(1.3)), 64, "was seen by another toy than this one"),
        (Judge("toy", Coarse(), side=96), 64, "was seen by another toy than this one"),
    ],
    ids=["small", "other judge", "other weights", "other side"],
)
def test_where_it_cannot_serve_figures_are_missing_with_the_reason(
    shipped: Path, judge: Judge, size: int, reason: str
) -> None:
    card, values, reasons = scored(judge, size=size)
    assert card.reference_images == 0 and values["unity"] is not None
    for name in ("leakage", "realism", "fused", "score", f"KID[{judge.name}]", "recall"):
        assert values[name] is None and reason in str(reasons[name]), name


def test_a_reference_of_ones_own_goes_before_it(shipped: Path) -> None:
    judge = Judge("toy", Coarse())
    card = Scorecard([judge], reference=pictures(110, size=64, seed=5), size=64)
    assert card.reference_images == 110 and isinstance(card.reference, Reference)


def test_a_damaged_file_is_refused(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(shipped.read_bytes())
    content[-1] ^= 1
    (tmp_path / shipped.name).write_bytes(content)
    monkeypatch.setattr(built_in_files, "FOLDER", tmp_path)
    with pytest.raises(DataError, match="is missing or damaged: install chimera again"):
        BuiltInReference().seen_by(Judge("toy", Coarse()), size=64)


def test_a_judge_without_a_file_reads_none() -> None:
    assert built_in_files.file_of("inception-2015-12-05") is None
    assert isinstance(BuiltInReference().seen_by(Judge("other", Coarse()), size=64), Unseen)


@pytest.mark.slow
def test_the_shipped_one_tells_animals_from_noise_and_strangers_from_parents(photos: Path) -> None:
    host = default_host()
    judge = load_judge(host, default_judge(host))
    card = Scorecard([judge], reference=BuiltInReference(), size=64)
    names = ("sorrel", "tiger", "macaw")
    first, second, stranger = read_squares([photos / f"{name}.jpg" for name in names], size=64)
    noise = torch.rand(first.shape, generator=torch.Generator().manual_seed(0))
    prepared = card.prepare([ParentImages("sorrel", first[None]), ParentImages("tiger", second[None])])
    shown = torch.stack([first, stranger, noise, (first + second) / 2])
    found = card.measure(prepared, shown, torch.tensor([[0.5, 0.5]] * len(shown)))
    copy, other, nothing, average = ({name: f.value or 0 for name, f in row.items()} for row in found)
    assert copy["realism"] > 0.8 and other["realism"] > 0.6 > 0.2 > nothing["realism"]
    assert other["leakage"] > 0.5 > 0.2 > copy["leakage"]
    assert average["score"] > 0.1 > copy["score"]
