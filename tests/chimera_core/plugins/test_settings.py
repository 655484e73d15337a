from __future__ import annotations

from pathlib import Path

import pytest

from chimera_core.errors import ConfigError
from chimera_core.plugins.settings import read_settings


def test_environment_wins_over_file_and_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('cache = "/from/file"\nruns = "/runs/file"\nplugins_disable = ["a", "b"]\n')
    settings = read_settings({"CHIMERA_CACHE": "/from/environment"}, file)
    assert (settings.by_name["cache"].value, settings.by_name["cache"].origin) == (
        "/from/environment",
        "CHIMERA_CACHE",
    )
    assert (settings.by_name["runs"].value, settings.by_name["runs"].origin) == ("/runs/file", str(file))
    assert settings.by_name["assets"].origin == "default"
    assert settings.disabled_plugins == {"a", "b"}


def test_defaults_hold_without_a_file(tmp_path: Path) -> None:
    settings = read_settings({}, tmp_path / "none.toml")
    assert settings.disabled_plugins == frozenset()
    assert not settings.strict_plugins
    assert settings.path("runs") == Path("chimera-runs")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ncahce = 'x'", " line 2: unknown key 'cahce' (did you mean 'cache'?)"),
        ("runs = 'a'\ncache = 3", " line 2: cache must be a string, but it is 3: write it in quotes"),
        ("[", "mend"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_settings({}, file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
