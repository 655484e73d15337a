"""``fuse`` with a made-up fuser: what the core itself promises."""

from __future__ import annotations

import io
import json
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chimera_core.errors import ChimeraError, ConfigError, DataError, PluginError
from chimera_core.fusing.fusion import Fusion, FusionResult, fuse
from chimera_core.fusing.request import check_request, check_seeds
from chimera_core.fusing.weights import check_weights, sweep_weights
from chimera_core.images import read_notes
from chimera_core.images.pixels import resize_shorter
from chimera_core.interfaces.components import FusionGenerator
from chimera_core.options.config import Config, option
from chimera_core.plugins.discovery import PluginHost, discover
from chimera_core.plugins.hookspecs import ENTRY_POINT_GROUP, hookimpl
from chimera_core.plugins.registry import read_registry
from chimera_core.plugins.settings import read_settings
from chimera_core.records import ComponentSpec


class MixConfig(Config):
    noise: float = option(0.0, help="noise", ge=0)
    weights: tuple[str, ...] = option((), help="files that nobody reads")
    shape: str = option("right", help="what to give back")


class Mix(FusionGenerator):
    """Pixel average of squares, and noise by seed."""

    max_parents: ClassVar[int | None] = 3

    def fuse(self, parents: Any, weights: Any, *, seeds: Any, size: int) -> torch.Tensor:
        if self.config.shape == "wrong":
            return torch.zeros(1, 1, size, size)
        if self.config.shape == "nan":
            return torch.full((len(seeds), 3, size, size), float("nan"))
        for done in (1, 2):
            self.progress(done, 2)
        squares = [resize_shorter(p.image, size)[:, :size, :size] for p in parents]
        mixed = sum(w * s for w, s in zip(weights, squares, strict=True))
        made = [
            mixed + self.config.noise * torch.rand(mixed.shape, generator=torch.Generator().manual_seed(s))
            for s in seeds
        ]
        return torch.stack(made)


class ClassOnly(Mix):
    accepts = frozenset({"class"})


class Untrained(Mix):
    needs_training: ClassVar[bool] = True


@pytest.fixture
def host() -> Iterator[PluginHost]:
    @hookimpl
    def chimera_fusion_generators() -> list[ComponentSpec]:
        return [
            ComponentSpec(name, "a test's", f"made_up_mix:{target}", MixConfig)
            for name, target in (("mix", "Mix"), ("class-only", "ClassOnly"), ("untrained", "Untrained"))
        ]

    module = types.ModuleType("made_up_mix")
    module.__dict__.update(
        CHIMERA_API=1,
        chimera_fusion_generators=chimera_fusion_generators,
        Mix=Mix,
        ClassOnly=ClassOnly,
        Untrained=Untrained,
    )
    sys.modules["made_up_mix"] = module
    points = [
        EntryPoint("mix", "made_up_mix", ENTRY_POINT_GROUP),
        EntryPoint("folder", "chimera_folder.plugin", ENTRY_POINT_GROUP),
    ]
    yield discover(read_settings({}, Path("none")), read_registry(), points)
    del sys.modules["made_up_mix"]


def test_a_chimera_is_the_weighted_mix_that_the_fuser_makes(host, picture) -> None:
    plan = check_request(
        [picture("a.png"), picture("b.png", colour=(0, 0, 255))], fuser="mix", size=32, host=host
    )
    fusion = Fusion(plan)
    a, b, half = (fusion.make(w, [0])[0] for w in ((1, 0), (0, 1), (0.5, 0.5)))
    assert torch.allclose(half, (a + b) / 2, atol=1e-6)


def test_image_k_depends_on_its_own_seed_alone(host, picture) -> None:
    plan = check_request([picture("a.png")] * 2, fuser="mix", options={"noise": 0.5}, size=32, host=host)
    fusion = Fusion(plan)
    four = fusion.make((0.5, 0.5), [5, 6, 7, 8])
    assert torch.equal(four[2], fusion.make((0.5, 0.5), [7])[0])


@pytest.mark.parametrize("by_seed", [False, True])
def test_progress_ends_once_however_many_pieces_and_whatever_the_fuser_reports(
    host, picture, classes: Path, by_seed: bool
) -> None:
    """A sweep counts the ends: a fuser that reports its own would have been counted twice."""
    parents = ["cat", "dog"] if by_seed else [picture("a.png"), picture("b.png")]
    source = {"source": "folder", "source_options": {"root": str(classes)}} if by_seed else {}
    fusion = Fusion(check_request(parents, [(0.5, 0.5)], count=3, fuser="mix", size=16, host=host, **source))
    seen: list[float] = []
    fusion.make([0.5, 0.5], [0, 1, 2], progress=lambda done, total: seen.append(done / total))
    assert seen == sorted(seen) and [share for share in seen if share >= 1] == [1]


def test_the_text_tells_the_origin_without_folders(host, picture) -> None:
    weights = (str(picture("a.png")), "runs/one")
    plan = check_request(
        [picture("a.png"), picture("b.png")], fuser="mix", options={"weights": weights}, size=32, host=host
    )
    text = Fusion(plan).text((0.25, 0.75), 9)
    assert json.loads(text["chimera.options"])["weights"] == ["a.png", "runs/one"]
    assert json.loads(text["chimera.parents"]) == ["a.png", "b.png"]
    assert json.loads(text["chimera.weights"]) == [0.25, 0.75]
    assert (text["chimera.seed"], text["chimera.fuser"]) == ("9", "mix")


def test_alpha_is_a_mask_and_none_switches_it_off(host, tmp_path: Path) -> None:
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[10:30, 10:30] = 255
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    parents = [tmp_path / "cut.png"] * 3
    masks = ["auto", "none", tmp_path / "cut.png"]
    made = Fusion(check_request(parents, fuser="mix", masks=masks, size=32, host=host)).parents(0)
    for parent, share in zip(made, (0.25, 1.0, 0.25), strict=True):
        assert parent.mask is not None
        assert parent.mask.shape == (1, 40, 40)
        assert float(parent.mask.mean()) == pytest.approx(share)


def test_what_is_transparent_becomes_white_whatever_lies_under_it(host, tmp_path: Path) -> None:
    pixels = np.full((20, 20, 4), (10, 200, 90, 0), np.uint8)
    pixels[5:15, 5:15] = (30, 60, 90, 255)
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    image = (
        Fusion(check_request([tmp_path / "cut.png"] * 2, fuser="mix", size=32, host=host)).parents(0)[0].image
    )
    assert image is not None
    assert (image[:, :5] == 1).all()
    assert torch.allclose(image[:, 10, 10] * 255, torch.tensor([30.0, 60.0, 90.0]))


def test_a_photograph_without_alpha_leaves_the_mask_to_the_fuser(host, picture) -> None:
    plan = check_request([picture("a.png")] * 2, fuser="mix", size=32, host=host)
    assert Fusion(plan).parents(0)[0].mask is None


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name, level in (("cat", 40), ("dog", 200)):
        for k in range(8):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (level + k,) * 3).save(tmp_path / "set" / name / f"{k}.png")
    return tmp_path / "set"


def test_a_class_name_becomes_a_seeded_image_of_that_class(host, classes: Path) -> None:
    plan = check_request(
        ["cat", "dog"],
        fuser="mix",
        source="folder",
        source_options={"root": str(classes)},
        size=32,
        host=host,
    )
    fusion = Fusion(plan)
    drawn = {seed: [round(float(p.image.mean()) * 255) for p in fusion.parents(seed)] for seed in range(12)}
    assert all(40 <= cat < 48 and 200 <= dog < 208 for cat, dog in drawn.values())
    assert len({tuple(v) for v in drawn.values()}) > 4
    assert torch.equal(fusion.make((1, 0), [3, 4])[1], Fusion(plan).make((1, 0), [4])[0])


def test_an_unknown_class_gets_the_nearest_name(host, classes: Path) -> None:
    options = {"root": str(classes)}
    plan = check_request(
        ["catt", "dog"], fuser="mix", source="folder", source_options=options, size=32, host=host
    )
    with pytest.raises(ConfigError, match="did you mean 'cat'"):
        Fusion(plan).make((0.5, 0.5), [0])


def test_a_folder_named_like_a_class_does_not_hide_the_class(host, classes: Path, monkeypatch) -> None:
    monkeypatch.chdir(classes)
    plan = check_request(
        ["cat", "dog"], fuser="mix", source="folder", source_options={"root": "."}, size=32, host=host
    )
    assert [p.class_name for p in Fusion(plan).parents(0)] == ["cat", "dog"]


def test_a_class_name_may_hold_a_dot(host, classes: Path) -> None:
    (classes / "dog").rename(classes / "St. Bernard")
    options = {"root": str(classes)}
    plan = check_request(
        ["cat", "St. Bernard"], fuser="mix", source="folder", source_options=options, size=32, host=host
    )
    assert Fusion(plan).parents(0)[1].class_name == "St. Bernard"


def test_masks_count_for_classes_too(host, classes: Path, picture) -> None:
    mask = picture("m.png", colour=(255, 255, 255), size=(32, 32))
    options = {"root": str(classes)}
    plan = check_request(
        ["cat", "dog", "cat"],
        fuser="mix",
        masks=["none", mask],
        source="folder",
        source_options=options,
        size=32,
        host=host,
    )
    whole, given, found = (parent.mask for parent in Fusion(plan).parents(0))
    assert whole is not None and bool((whole == 1).all())
    assert given is not None and float(given[0, 16, 16]) > 0.9 > 0.6 > float(given[0, 0, 0])
    assert found is None


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"fuser": "mixx"}, PluginError, "did you mean 'mix'"),
        ({"options": {"nose": 1}}, ConfigError, "did you mean 'noise'"),
        ({"options": {"noise": -1}}, ConfigError, "greater than or equal to 0"),
        ({"preset": "nope"}, ConfigError, "no preset 'nope'"),
        ({"size": 0}, ConfigError, "size must lie between"),
        ({"masks": ["auto"] * 3}, ConfigError, "3 masks were given for 2 parents"),
        ({"masks": ["gone.png"]}, DataError, "there is no file"),
        ({"source": "foldr"}, PluginError, "did you mean 'folder'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_loaded(host, picture, options, kind, message) -> None:
    request: dict[str, Any] = {"fuser": "mix", **options}
    with pytest.raises(kind, match=message):
        check_request([picture("a.png"), picture("b.png")], host=host, **request)


def test_a_request_holds_all_weights_and_seeds_checked(host, picture) -> None:
    parents, lines = [picture("a.png"), picture("b.png")], []
    made = check_request(
        parents, [(7, 3), (0, 1)], seed=5, count=3, fuser="mix", host=host, remark=lines.append
    )
    assert made.weights == ((0.7, 0.3), (0, 1)) and made.seeds == (5, 6, 7) and len(lines) == 1
    assert check_request(parents, fuser="mix", host=host).weights == ((0.5, 0.5),)
    for weights, seed in (([(0.5, 0.5), (7, 3)], 0), ([], 2**31 - 1)):
        with pytest.raises(ConfigError, match=r"must sum to 1|take another --seed"):
            check_request(parents, weights, seed=seed, count=2, fuser="mix", host=host)
    with pytest.raises(AttributeError):
        made.size = 1  # type: ignore[misc]


def test_one_parent_is_too_few_and_the_fusers_limit_is_kept(host, picture) -> None:
    a = picture("a.png")
    with pytest.raises(ConfigError, match="two parents or more"):
        check_request([a], fuser="mix", host=host)
    with pytest.raises(ConfigError, match="3 parents at most"):
        Fusion(check_request([a] * 4, fuser="mix", host=host))


def test_a_photograph_for_a_fuser_of_classes_is_refused(host, picture) -> None:
    with pytest.raises(ConfigError, match="takes class names, not photographs"):
        Fusion(check_request([picture("a.png")] * 2, fuser="class-only", host=host))


def test_an_untrained_fuser_says_so(host, picture) -> None:
    with pytest.raises(ConfigError, match="must be trained first"):
        Fusion(check_request([picture("a.png")] * 2, fuser="untrained", host=host))


@pytest.mark.parametrize("shape", ["wrong", "nan"])
def test_a_fuser_that_breaks_its_contract_is_named(host, picture, shape: str) -> None:
    plan = check_request([picture("a.png")] * 2, fuser="mix", options={"shape": shape}, size=32, host=host)
    with pytest.raises(PluginError, match="fuser mix gave"):
        Fusion(plan).make((0.5, 0.5), [0])


def test_a_mask_of_another_aspect_ratio_is_refused(host, picture) -> None:
    mask = picture("m.png", size=(50, 50))
    plan = check_request([picture("a.png")] * 2, fuser="mix", masks=[mask], host=host)
    with pytest.raises(DataError, match="50 x 50 but its parent is 64 x 48"):
        Fusion(plan)


@pytest.mark.parametrize(
    "weights", [(0.5, 0.6), (-0.5, 1.5), (1.0,), (0.2, 0.3, 0.5), (float("nan"), 1.0), (0.0, 0.0)]
)
def test_wrong_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ChimeraError):
        check_weights(weights, 2)


@pytest.mark.parametrize(
    ("given_", "taken"), [((7, 3), "0.7,0.3"), ((70, 30), "0.7,0.3"), ((0.5, 0.3), "0.625,0.375")]
)
def test_weights_of_another_sum_are_scaled_and_a_line_says_so(given_: tuple[float, ...], taken: str) -> None:
    lines: list[str] = []
    checked = check_weights(given_, 2, remark=lines.append)
    assert sum(checked) == pytest.approx(1) and checked[0] / checked[1] == pytest.approx(
        given_[0] / given_[1]
    )
    assert len(lines) == 1 and lines[0].endswith(f": taken as {taken}")
    with pytest.raises(ConfigError):
        check_weights(given_, 2)
    for wrong in ((0, 0), (-7, 3), (float("inf"), 1), (1e308, 1e308)):
        with pytest.raises(ConfigError):
            check_weights(wrong, 2, remark=lines.append)
    check_weights((0.333, 0.667), 2, remark=lines.append)
    assert len(lines) == 1


@pytest.mark.parametrize("value", ["70%,30%", "7,3", "70 %, 30 %"])
def test_weights_are_read_as_people_write_them(value: str) -> None:
    from chimera_core.cli.parsing.options import WEIGHTS

    weights = check_weights(WEIGHTS.convert(value, None, None), 2, remark=str)
    assert weights == pytest.approx((0.7, 0.3))


def test_seeds_that_nobody_could_ask_for_by_themselves_are_refused_however_they_come_about(
    host, picture
) -> None:
    check_seeds(2**31 - 1, 1)
    check_seeds(2**31 - 2, 2)
    for first, count in ((2**31, 1), (2**31 - 1, 2), (-1, 1)):
        with pytest.raises(ConfigError, match="take another --seed"):
            check_seeds(first, count)
    with pytest.raises(ConfigError, match="the last of 2 is 2147483648"):
        fuse([picture("a.png")] * 2, seed=2**31 - 1, n=2)


def test_a_result_is_not_saved_over_its_parents(host, picture) -> None:
    plan = check_request(
        [picture("a.png"), picture("b.png")], fuser="mix", masks=[picture("m.png")], host=host
    )
    result = FusionResult(torch.zeros(1, 3, 8, 8), plan, "mix", "cpu", 0.0, ({},))
    before = [Path(p).read_bytes() for p in plan.parents]
    for name in ("a.png", "b.png", "m.png"):
        with pytest.raises(ConfigError, match=f"{name}' is a (parent|mask), which would be lost"):
            result.save(Path(plan.parents[0]).with_name(name))
    assert [Path(p).read_bytes() for p in plan.parents] == before
    assert result.save(Path(plan.parents[0]).with_name("new.png")).is_file()


def test_a_result_shows_itself_in_a_notebook_and_gives_its_pixels(host, picture) -> None:
    plan = check_request([picture("a<b>.png"), picture("b.png")], fuser="mix", seed=3, count=2, host=host)
    images = torch.rand(2, 3, 8, 12)
    result = FusionResult(images, plan, "mix", "cpu", 0.0, ({"seed": "3"}, {"seed": "4"}))
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(result.numpy(), pixels)
    np.testing.assert_array_equal(np.asarray(result.pil(1)), pixels[1])
    page = result._repr_html_()
    assert page.count("data:image/png;base64,") == 2 and "seed 4" in page
    assert "mix: 50% a&lt;b&gt;.png + 50% b.png" in page
    both = Image.open(io.BytesIO(result._repr_png_()))
    assert both.width >= 24 and both.height >= 8
    one = replace(result, images=images[:1], opacity=torch.zeros(1, 1, 8, 12))
    shown = Image.open(io.BytesIO(one._repr_png_()))
    assert shown.mode == one.pil().mode == "RGBA" and shown.text == {"seed": "3"}
    assert one.numpy().shape == (1, 8, 12, 4)


@pytest.mark.parametrize("name", ["out.jpg", "out.webp", "out.tif"])
def test_a_result_is_saved_in_the_format_of_the_ending(host, picture, tmp_path: Path, name: str) -> None:
    plan = check_request([picture("a.png"), picture("b.png")], fuser="mix", host=host)
    result = FusionResult(torch.rand(1, 3, 8, 8), plan, "mix", "cpu", 0.0, ({"chimera.seed": "0"},))
    assert result.save(tmp_path / name) == tmp_path / name
    assert read_notes(tmp_path / name) == {"chimera.seed": "0"}
    with pytest.raises(ConfigError, match=r"let it end in .png or .jpg or .jpeg or .webp or .tif or .tiff"):
        result.save(tmp_path / "out.gif")


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda w: sum(w) > 0.01))
def test_normalised_weights_pass_and_sum_to_one(raw: list[float]) -> None:
    weights = check_weights([w / sum(raw) for w in raw], len(raw))
    assert sum(weights) == pytest.approx(1)


@pytest.mark.slow
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=5), st.integers(2, 20))
def test_a_sweep_goes_evenly_from_the_first_parent_to_none_of_it(raw: list[float], frames: int) -> None:
    steps = sweep_weights([w / sum(raw) for w in raw], frames)
    assert steps[0][0] == 1
    assert steps[-1][0] == pytest.approx(0)
    assert all(sum(s) == pytest.approx(1) for s in steps)
    assert all(a[0] - b[0] == pytest.approx(1 / (frames - 1)) for a, b in pairwise(steps))
