"""What a plugin's package carries for the registry: its assets, models and defaults, and nothing of anybody else's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from chimera_core.components.choice import choose
from chimera_core.components.trained import find_trained, model_file
from chimera_core.errors import ConfigError
from chimera_core.plugins.discovery import PluginHost, discover
from chimera_core.plugins.hookspecs import ENTRY_POINT_GROUP
from chimera_core.plugins.registry import read_registry
from chimera_core.plugins.settings import read_settings

PLUGIN = """
from chimera_core.api import ComponentSpec, Config, hookimpl, option
CHIMERA_API = 1
class Options(Config):
    shade: float = option(0.5, help="how light", ge=0, le=1)
@hookimpl
def chimera_fusion_generators():
    return [ComponentSpec("{name}-mix", "a stranger's", "{package}.plugin:Mix", Options)]
"""
ASSET = """[assets.{name}-weights]
url = "https://example.org/{name}.bin"
filename = "{name}.bin"
size = 3
sha256 = "{sum}"
licence = "MIT"
"""
MODEL = """[models.{name}-night]
fuser = "{name}-mix"
file = "night.safetensors"
licence = "MIT"
summary = "made at night"
"""
DEFAULTS = "[plugins.{name}.options.{name}-mix]\nshade = 0.25\n"

Install = Callable[..., EntryPoint]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put the package of a plugin on the path, with what it carries."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(name: str, carried: str | None = ASSET + MODEL + DEFAULTS) -> EntryPoint:
        folder = tmp_path / f"carried_{name}"
        (folder / "models").mkdir(parents=True)
        (folder / "models" / "night.safetensors").write_bytes(b"x")
        (folder / "__init__.py").touch()
        (folder / "plugin.py").write_text(
            PLUGIN.replace("{name}", name).replace("{package}", f"carried_{name}")
        )
        if carried is not None:
            text = carried.replace("{name}", name).replace("{sum}", "ab" * 32)
            (folder / "registry.toml").write_text(text)
        return EntryPoint(name, f"carried_{name}.plugin", ENTRY_POINT_GROUP)

    yield put
    for module in [m for m in sys.modules if m.startswith("carried_")]:
        del sys.modules[module]


def find(tmp_path: Path, *points: EntryPoint, users: str = "") -> PluginHost:
    files = []
    if users:
        (tmp_path / "mine.toml").write_text(users)
        files.append(tmp_path / "mine.toml")
    return discover(read_settings({}, Path("no-such-file")), read_registry(*files), points)


def test_assets_models_and_defaults_of_a_package_are_there_and_go_with_it(
    install: Install, tmp_path: Path
) -> None:
    host = find(tmp_path, install("wolf"), install("plain", None))
    assert {r.name: r.status for r in host.records if r.status != "not-installed"} == {
        "plain": "ok",
        "wolf": "ok",
    }
    assert host.registry.assets["wolf-weights"].places == ("https://example.org/wolf.bin",)
    assert "registry.toml line 1" in host.registry.place("assets", "wolf-weights")
    assert choose(host, "fusion-generator", "wolf-mix").config.model_dump() == {"shade": 0.25}
    assert choose(host, "fusion-generator", "plain-mix").config.model_dump() == {"shade": 0.5}
    trained = find_trained(host, "fusion-generator", "wolf-night")
    assert trained is not None and trained.form == "model"
    assert model_file(host, "wolf-night").read_bytes() == b"x"
    assert host.registry.models["wolf-night"].fuser == "wolf:wolf-mix"
    # How far it is trusted is not for it to say, and to speak of oneself is no listing.
    assert host.entry(next(r for r in host.records if r.name == "wolf")) is None
    without = find(tmp_path)
    assert "wolf-weights" not in without.registry.assets and "wolf-night" not in without.registry.models


def test_a_user_goes_before_packages_and_packages_before_what_comes_along(
    install: Install, tmp_path: Path
) -> None:
    users = (
        '[plugins.wolf.options.wolf-mix]\nshade = 0.75\n[assets.wolf-weights]\nurl = "file:///srv/wolf.bin"\n'
    )
    users += f'filename = "wolf.bin"\nsize = 3\nsha256 = "{"ab" * 32}"\nlicence = "MIT"\n'
    host = find(tmp_path, install("wolf"), users=users)
    assert choose(host, "fusion-generator", "wolf-mix").config.model_dump() == {"shade": 0.75}
    assert host.registry.assets["wolf-weights"].places == ("file:///srv/wolf.bin",)


@pytest.mark.parametrize(
    ("carried", "message"),
    [
        (
            "[plugins.wolf]\ntrust = 'first-party'\n",
            "plugins.wolf.trust: a package says only with which options",
        ),
        ("[plugins.wolf]\nenabled = false\n", "plugins.wolf.enabled: a package says only with which options"),
        ("[plugins.style.options.style-transfer]\niterations = 1\n", "speaks of its own plugin only, wolf"),
        ("[plugins.wolf.options.wolfmix]\nshade = 1\n", "no such component (did you mean 'wolf-mix'?)"),
        ("[collections.x]\nfolders = ['/']\n", "a package adds assets, models and defaults only"),
        (ASSET.replace("{name}-weights", "vgg19"), "assets.vgg19: the name is taken (registry "),
        (ASSET.replace("{name}.bin", "VGG19-dcbb9e9d.pth"), "another asset has the filename"),
        (MODEL.replace("{name}-night", "person-cat"), "models.person-cat: the name is taken"),
        (MODEL.replace("{name}-mix", "gan"), "plugin wolf offers no fusion-generator 'gan'"),
        (MODEL.replace("fuser", "encoder"), "plugin wolf offers no feature-encoder 'wolf-mix'"),
        (MODEL.replace("night.safetensors", "../night.safetensors"), "is not a plain file name"),
        (MODEL.replace("file = ", "asset = "), "there is no asset 'night.safetensors'"),
        ("[assets.x]\nsize = 3\n", "registry.toml line 1: assets.x."),
        ("[assets\n", "registry.toml"),
    ],
)
def test_a_package_that_carries_something_wrong_is_broken_and_the_rest_works(
    install: Install, tmp_path: Path, carried: str, message: str
) -> None:
    host = find(tmp_path, install("wolf", carried), install("zebra"))
    (broken,) = host.broken
    assert broken.name == "wolf" and message in broken.error and "\n" not in broken.error
    assert not host.has("fusion-generator", "wolf-mix") and "zebra-weights" in host.registry.assets


def test_the_second_of_two_packages_with_one_asset_is_broken(install: Install, tmp_path: Path) -> None:
    text = ASSET.replace("{name}-weights", "same")
    host = find(tmp_path, install("wolf", text), install("zebra", text))
    assert [r.name for r in host.broken] == ["zebra"]
    assert "assets.same: the name is taken (registry " in host.broken[0].error
    assert host.registry.assets["same"].filename == "wolf.bin"


def test_wrong_defaults_are_named_with_their_place(install: Install, tmp_path: Path) -> None:
    host = find(tmp_path, install("wolf", DEFAULTS.replace("0.25", "7")))
    with pytest.raises(ConfigError, match=r"registry.toml line 2: .*shade"):
        choose(host, "fusion-generator", "wolf-mix")


def test_of_several_registries_each_is_laid_over_those_before_and_says_what_it_takes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text('[plugins.timm]\nsummary = "one"\n[plugins.wolf]\nsummary = "howls"\n')
    second.write_text('[plugins.timm]\nhome_page = "x"\nsummary = "two"\n')
    registry = read_registry(first, second)
    assert (registry.plugins["timm"].summary, registry.plugins["wolf"].summary) == ("two", "howls")
    assert registry.place("plugins", "timm", "summary") == f"registry {second} line 3"
    assert [record.getMessage() for record in caplog.records] == [
        f"registry {second} line 3: plugins.timm.summary replaces what registry {first} line 2 says"
    ]
