"""``--outline`` takes the outline finder of a plugin, whose mask is looked at."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from chimera_core.components.choice import Choice, choose
from chimera_core.errors import ConfigError, PluginError
from chimera_core.options.layers import build_config
from chimera_core.plugins.discovery import discover
from chimera_core.plugins.hookspecs import ENTRY_POINT_GROUP
from chimera_core.plugins.registry import read_registry
from chimera_core.plugins.settings import read_settings
from chimera_core.records import Parent
from chimera_core.subjects import finder
from chimera_core.subjects.finder import SubjectFinder
from chimera_core.subjects.options import SubjectOptions

CPU = torch.device("cpu")
PARENT = Parent("wolf", image=torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(autouse=True)
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the fakes, with options from a registry of the test's own; gives that file."""
    mine = tmp_path / "registry.toml"
    mine.write_text("")
    point = EntryPoint("fakes", "chimera_core.testing.fakes.plugin", ENTRY_POINT_GROUP)
    monkeypatch.setattr(
        finder,
        "default_host",
        lambda: discover(read_settings({}, Path("none")), read_registry(mine), [point]),
    )
    return mine


@pytest.mark.parametrize("name", ["middle", "fakes:middle"])
def test_a_plugin_finds_the_animal_and_says_how_sure_it_is(name: str) -> None:
    looking = SubjectFinder("auto", device=CPU, outline=name)
    mask = looking.find(PARENT).mask
    assert mask.shape == (1, 16, 24) and mask.sum() == 8 * 12 and looking.confidence(PARENT) == 0.75


def test_its_code_and_options_decide_a_fuser_s_result_and_ways_of_ours_add_nothing() -> None:
    host = finder.default_host()
    fuser = host.components("fusion-generator")[0]
    known = {
        name: Choice(fuser, SubjectOptions(outline=name), host).identity()
        for name in ("fine", "middle", "fakes:middle")
    }
    assert "outline" not in known["fine"]
    of_finder = choose(host, "outline-finder", "middle").identity()
    assert known["middle"]["outline"] == known["fakes:middle"]["outline"] == of_finder
    assert of_finder["code"] and of_finder["component"]["name"] == "fakes:middle"


def test_an_unknown_way_is_named_before_anything_is_looked_at() -> None:
    with pytest.raises(ConfigError, match=r"there is no outline 'midle' \(did you mean 'middle'\?\)"):
        SubjectFinder("auto", device=CPU, outline="midle")
    with pytest.raises(
        ConfigError, match="write one of fine, fast, u2netp, isnet, or the name of an outline"
    ):
        build_config(SubjectOptions, {"outline": "../x"}, where="fuser")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("shape", r"outline finder middle gave a mask \(1, 16, 23\) for an image \(3, 16, 24\)"),
        ("range", r"outline finder middle gave pixels from 0 to 255 instead of \[0, 1\]"),
    ],
)
def test_what_is_no_mask_is_refused(fakes: Path, fault: str, message: str) -> None:
    fakes.write_text(f'[plugins.fakes.options.middle]\nfault = "{fault}"\n')
    with pytest.raises(PluginError, match=message):
        SubjectFinder("auto", device=CPU, outline="middle").find(PARENT)
