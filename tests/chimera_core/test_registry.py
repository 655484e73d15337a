from __future__ import annotations

import re
from pathlib import Path

import pytest

from chimera_core.errors import ConfigError
from chimera_core.registry import read_registry, shipped_registry


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_registry_knows_our_plugins() -> None:
    registry = read_registry()
    assert {"folder", "timm", "style"} <= set(registry.plugins)
    assert all(entry.trust == "first-party" for entry in registry.plugins.values())


def test_the_shipped_registry_names_no_import_path() -> None:
    text = shipped_registry().read_text(encoding="utf-8")
    assert not re.search(r"chimera_\w+|[\w.]+:[A-Z]", text.replace("CHIMERA_REGISTRY", ""))


def test_a_users_file_lies_over_the_shipped_one(tmp_path: Path) -> None:
    registry = read_registry(
        write(tmp_path, '[plugins.timm]\nenabled = false\n[plugins.wolf]\ntrust = "listed"\n')
    )
    assert not registry.plugins["timm"].enabled
    assert registry.plugins["timm"].trust == "first-party"
    assert registry.plugins["folder"].enabled
    assert "wolf" in registry.plugins


def test_default_options_come_by_plugin_and_component(tmp_path: Path) -> None:
    registry = read_registry(write(tmp_path, "[plugins.style.options.style-transfer]\niterations = 7\n"))
    assert registry.default_options("style", "style-transfer") == {"iterations": 7}
    assert registry.default_options("style", "other") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[plugins.timm]\nenabeld = false", "did you mean 'enabled'?"),
        ("[plugin.timm]\nenabled = false", "did you mean 'plugins'?"),
        ("[plugins.timm]\nenabled = 'perhaps'", "plugins.timm.enabled"),
        ("[plugins.timm", "cannot be read"),
        ("plugins = 3", "plugins"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_registry(write(tmp_path, text))
    assert "mine.toml" in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothere\.toml does not exist"):
        read_registry(tmp_path / "nothere.toml")
