"""Discovery on modules that a test makes: each failure is a record, the rest works."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from chimera_core.errors import PluginError
from chimera_core.options.config import Config
from chimera_core.plugins.discovery import PluginHost, discover
from chimera_core.plugins.hookspecs import ENTRY_POINT_GROUP, hookimpl
from chimera_core.plugins.registry import Registry
from chimera_core.plugins.settings import read_settings
from chimera_core.records import ComponentSpec


class Options(Config):
    pass


def spec(name: str, target: str = "chimera_core.interfaces.components:FusionGenerator") -> ComponentSpec:
    return ComponentSpec(name=name, summary="a test's", target=target, config=Options)


def fuser_plugin(*specs: Any, api: Any = 1) -> types.SimpleNamespace:
    @hookimpl
    def chimera_fusion_generators() -> Any:
        return list(specs)

    return types.SimpleNamespace(CHIMERA_API=api, chimera_fusion_generators=chimera_fusion_generators)


@pytest.fixture
def install() -> Iterator[Any]:
    """Make modules importable: name -> namespace or source text; gives their entry points."""
    made: list[str] = []

    def add(**plugins: Any) -> list[EntryPoint]:
        points = []
        for name, namespace in plugins.items():
            module = types.ModuleType(f"made_up_{name}")
            module.__dict__.update(vars(namespace))
            sys.modules[module.__name__] = module
            made.append(module.__name__)
            points.append(EntryPoint(name, module.__name__, ENTRY_POINT_GROUP))
        return points

    yield add
    for name in made:
        del sys.modules[name]


def host(points: list[EntryPoint], registry: Registry | None = None, **environ: str) -> PluginHost:
    return discover(read_settings(environ, Path("no-such-file")), registry or Registry(), points)


def statuses(found: PluginHost) -> dict[str, str]:
    return {record.name: record.status for record in found.records}


def test_a_good_plugin_offers_its_components(install: Any) -> None:
    found = host(install(wolf=fuser_plugin(spec("howl"))))
    assert statuses(found) == {"wolf": "ok"}
    assert found.find("fusion-generator", "howl").plugin == "wolf"
    assert found.find("fusion-generator", "wolf:howl").spec.name == "howl"


def raising() -> types.SimpleNamespace:
    @hookimpl
    def chimera_fusion_generators() -> Any:
        raise RuntimeError("boom\nin two lines")

    return types.SimpleNamespace(CHIMERA_API=1, chimera_fusion_generators=chimera_fusion_generators)


def unknown_hook() -> types.SimpleNamespace:
    @hookimpl
    def chimera_fusion_generatorz() -> Any:
        return []

    return types.SimpleNamespace(CHIMERA_API=1, chimera_fusion_generatorz=chimera_fusion_generatorz)


def forgotten_return() -> types.SimpleNamespace:
    @hookimpl
    def chimera_fusion_generators() -> Any:
        [spec("lost")]

    return types.SimpleNamespace(CHIMERA_API=1, chimera_fusion_generators=chimera_fusion_generators)


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (raising(), "RuntimeError: boom in two lines"),
        (unknown_hook(), "a hook that this version of the toolkit does not know"),
        (fuser_plugin(spec("x"), api=99), "written for plugin API 99, this is 1: update chimera-toolkit"),
        (fuser_plugin(spec("x"), api=None), "update the plugin"),
        (fuser_plugin("no spec"), "must return a list of ComponentSpec"),
        (forgotten_return(), "must return a list of ComponentSpec, but it returned None"),
    ],
)
def test_a_bad_plugin_is_recorded_with_its_cause_and_the_rest_works(
    install: Any, bad: Any, cause: str
) -> None:
    found = host(install(bad=bad, wolf=fuser_plugin(spec("howl"))))
    assert statuses(found) == {"bad": "broken", "wolf": "ok"}
    assert cause in found.broken[0].error
    assert "\n" not in found.broken[0].error
    assert found.has("fusion-generator", "howl")


@pytest.mark.parametrize("text", ["import no_such_module_at_all", "def (", "raise SystemExit(3)", "1/0"])
def test_a_module_that_fails_at_import_is_recorded(
    tmp_path: Path, monkeypatch: Any, install: Any, text: str
) -> None:
    (tmp_path / "fails_at_import.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("bad", "fails_at_import", ENTRY_POINT_GROUP),
        *install(wolf=fuser_plugin(spec("howl"))),
    ]
    found = host(points)
    assert statuses(found) == {"bad": "broken", "wolf": "ok"}
    assert "Traceback" in found.broken[0].trace
    sys.modules.pop("fails_at_import", None)


def test_a_disabled_plugin_is_not_imported(tmp_path: Path, monkeypatch: Any) -> None:
    witness = tmp_path / "imported"
    (tmp_path / "leaves_a_trace.py").write_text(f"open({str(witness)!r}, 'w').close()\nCHIMERA_API = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("shy", "leaves_a_trace", ENTRY_POINT_GROUP)]
    assert statuses(host(points, CHIMERA_PLUGINS_DISABLE="shy, other")) == {"shy": "disabled"}
    off = Registry.model_validate({"plugins": {"shy": {"enabled": False}}})
    assert statuses(host(points, off)) == {"shy": "disabled"}
    assert not witness.exists()
    assert statuses(host(points)) == {"shy": "ok"}
    assert witness.exists()


def test_of_two_components_with_one_name_neither_wins_and_a_prefix_picks(install: Any) -> None:
    found = host(install(wolf=fuser_plugin(spec("howl")), dog=fuser_plugin(spec("howl"))))
    with pytest.raises(PluginError, match="'dog:howl' or 'wolf:howl'"):
        found.find("fusion-generator", "howl")
    assert found.find("fusion-generator", "dog:howl").plugin == "dog"


def test_an_unknown_name_gets_the_nearest(install: Any) -> None:
    with pytest.raises(PluginError, match="did you mean 'howl'"):
        host(install(wolf=fuser_plugin(spec("howl")))).find("fusion-generator", "howel")


def test_an_unknown_name_lists_models_too_where_none_is_near(install: Any) -> None:
    known = Registry.model_validate(
        {
            "models": {
                "moon": {"fuser": "wolf:howl", "file": "w.safetensors", "licence": "MIT", "classes": ["a"]}
            }
        }
    )
    with pytest.raises(PluginError, match=r"is named 'xyzzy' \(known: howl, moon\)"):
        host(install(wolf=fuser_plugin(spec("howl"))), known).find("fusion-generator", "xyzzy")


def test_what_the_registry_knows_but_is_not_installed_says_how_to_get_it() -> None:
    known = Registry.model_validate({"plugins": {"yeti": {"distribution": "chimera-yeti"}}})
    record = host([], known).records[0]
    assert (record.status, record.error) == ("not-installed", "pip install chimera-yeti")


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("no_such_module_at_all:X", "cannot be loaded"),
        ("chimera_core.interfaces.components:NoSuchClass", "cannot be loaded"),
        ("chimera_core.interfaces.components:FeatureEncoder", "is not a FusionGenerator"),
    ],
)
def test_a_target_that_is_missing_or_of_another_class_is_found_on_first_use(
    install: Any, target: str, cause: str
) -> None:
    found = host(install(wolf=fuser_plugin(spec("howl", target))))
    assert statuses(found) == {"wolf": "ok"}
    with pytest.raises(PluginError, match=cause):
        found.find("fusion-generator", "howl").load_class()
