"""``chimera plugins check``: packages with one fault each, and the components of good ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chimera_core.plugins import discovery, packaging
from chimera_core.processes import python_command

HEAVY_IMPORTS = packaging.heavy_imports

GOOD = """
from chimera_core.api import CheckSetup, ComponentSpec, Config, Preset, hookimpl, option

CHIMERA_API = 1

class FadeConfig(Config):
    strength: float = option(1.0, help="of the noise", ge=0, le=2)

@hookimpl
def chimera_fusion_generators():
    return [ComponentSpec("fade", "fades", "toy_fuser:Fade", FadeConfig,
                          presets=(Preset("strong", "more", {"strength": 2.0}),))]
"""
FUSER = """
import torch
from chimera_core.api import FusionGenerator, resize_shorter

class Fade(FusionGenerator):
    def fuse(self, parents, weights, *, seeds, size):
        first = resize_shorter(parents[0].image, size)
        rest = [torch.nn.functional.interpolate(p.image[None], first.shape[-2:], mode="bicubic", antialias=True)[0]
                for p in parents[1:]]
        mixed = sum(w * i for w, i in zip(weights, [first, *rest])).clamp(0, 1)
        return mixed.expand(len(seeds), -1, -1, -1).clone()
"""
CRASHING_READER = """
import ctypes
import numpy as np
from chimera_core.api import ImageReader

def prepare(folder):
    for side in (8, 9):
        (folder / f"{side}.fade").write_bytes(bytes([side, 5]) + bytes(range(3 * 5 * side)))

class Fade(ImageReader):
    def size(self, path):
        width, height = path.read_bytes()[:2]
        return width, height

    def read(self, path):
        width, height = self.size(path)
        data = path.read_bytes()[2:]
        if len(data) < 3 * width * height:
            ctypes.string_at(0)
        return np.frombuffer(data, np.uint8, 3 * width * height).reshape(height, width, 3)
"""
METADATA = """Metadata-Version: 2.1
Name: toy
Version: 1.0
Requires-Dist: chimera-toolkit
Provides-Extra: fast
"""

Install = Callable[..., None]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write the plugin ``toy`` as it lies in a site-packages folder, some of its text replaced."""
    # Another process for each would take most of the time of these tests.
    monkeypatch.setattr(packaging, "heavy_imports", lambda module: ())

    def write(old: str = "", new: str = "", *, fuser: str = FUSER, metadata: str = METADATA) -> None:
        assert not old or GOOD.count(old), old
        (tmp_path / "toy_plugin.py").write_text(GOOD.replace(old, new, 1) if old else GOOD)
        (tmp_path / "toy_fuser.py").write_text(fuser)
        info = tmp_path / "toy-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text("[chimera.plugins]\ntoy = toy_plugin\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.syspath_prepend(str(tmp_path))
        discovery._discover_once.cache_clear()

    yield write
    discovery._discover_once.cache_clear()
    for name in ("toy_plugin", "toy_fuser"):
        sys.modules.pop(name, None)


def broken(here: Run, *arguments: str) -> dict[str, str]:
    """Run the check, and give the broken laws with the values met."""
    code, out, err = here("plugins", "check", *arguments, "--json")
    assert "Traceback" not in err
    rows: list[dict[str, Any]] = json.loads(out)
    found = {row["law"]: row["met"] for row in rows if row["verdict"] == "broken"}
    assert code == (1 if found else 0), err
    return found


def test_a_good_plugin_passes(here: Run, install: Install) -> None:
    install()
    assert broken(here, "toy") == {}
    assert broken(here, "fade", "--deep") == {}
    assert broken(here, "toy:fade") == {}


@pytest.mark.parametrize(
    ("old", "new", "law", "met"),
    [
        ("CHIMERA_API = 1", "CHIMERA_API = 0", "loads", "this is 1: write CHIMERA_API = 1"),
        (
            "CHIMERA_API = 1",
            "1 / 0",
            "loads",
            r"ZeroDivisionError: .*\(toy_plugin.py, line 4\): mend toy_plugin",
        ),
        ("CHIMERA_API = 1", "import toy_extra", "loads", "add what brings toy_extra to the dependencies"),
        (
            "_generators",
            "_generator",
            "loads",
            "did you mean 'chimera_fusion_generators'.*: name it as one of",
        ),
        ("@hookimpl", "", "hooks-are-marked", "chimera_fusion_generators, line 10, without @hookimpl"),
        ("return [", "return []; [", "offers-components", "none, by any of chimera_dataset_sources, "),
        ("(1.0, help", "(3.0, help", "defaults-fit", "'strength' of fade: .* less than or equal to 2.* 3.0"),
        (', help="of the noise"', ', help=""', "options-have-help", "option strength of fade without help"),
        (
            '"strength": 2.0',
            '"strenght": 2.0',
            "presets-fit",
            "no option 'strenght' .*did you mean 'strength'",
        ),
        ('"strength": 2.0', '"strength": 9', "presets-fit", "preset strong: option 'strength' of fade: .*9"),
        (
            "2.0}",
            '2.0}, {"pictures": 9}',
            "trainings-of-presets-fit",
            "fuser training has no option 'pictures'",
        ),
        (
            "FadeConfig,\n",
            'FadeConfig, extra="quick",\n',
            "extras-exist",
            "extra 'quick' of fade; .* has fast",
        ),
        (
            "toy_fuser:Fade",
            "toy_fuser:Feed",
            "targets-load",
            "from toy_fuser:Feed .*: name a class that is there",
        ),
        ("toy_fuser:Fade", "toy_plugin:FadeConfig", "targets-load", "is not a FusionGenerator: make it one"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value and " " not in value else "",
)
def test_a_fault_of_the_package_is_named_by_its_law(
    here: Run, install: Install, old: str, new: str, law: str, met: str
) -> None:
    import re

    install(old, new)
    found = broken(here, "toy")
    assert list(found) == [law]
    assert re.search(met, found[law]), found
    assert "update the plugin" not in found[law]  # its author reads this


@pytest.mark.parametrize("hook", ["fusion_generators", "dataset_sources", "metrics"])
@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("toy_fuser:Fade", "toy_fuser:Feed", "name a class that is there as its target"),
        ("toy_fuser:Fade", "toy_feud:Fade", "name a class that is there as its target"),
        (
            "import torch",
            "import toy_extra",
            "add what brings toy_extra to the dependencies in pyproject.toml",
        ),
        ("import torch", "1 / 0", "mend toy_fuser.py, line 2"),
    ],
)
def test_of_a_class_that_cannot_be_loaded_its_author_reads_what_to_change(
    here: Run, install: Install, hook: str, old: str, new: str, change: str
) -> None:
    plugin = (old, new) if old in GOOD else ("", "")
    install(*plugin, fuser=FUSER.replace(old, new))
    file = Path(sys.path[0], "toy_plugin.py")
    file.write_text(file.read_text().replace("fusion_generators", hook))
    found = broken(here, "toy", "--deep")
    assert list(found) == ["targets-load", "can-be-tried"]
    for met in found.values():
        assert met.rstrip(".").endswith(change) and "update the plugin" not in met


@pytest.mark.slow
def test_a_crash_in_c_prints_the_law_that_was_tried_and_the_line_of_the_plugin(
    install: Install, tmp_path: Path
) -> None:
    setup = 'suffixes=(".fade",), check=CheckSetup(prepare="toy_fuser:prepare"),\n presets'
    install("presets", setup, fuser=CRASHING_READER)
    file = tmp_path / "toy_plugin.py"
    file.write_text(file.read_text().replace("chimera_fusion_generators", "chimera_image_readers"))
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONFAULTHANDLER"}
    command = python_command("-m", "chimera_core.cli", "plugins", "check", "fade", "--deep")
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode not in (0, 1, 2)
    line = CRASHING_READER.splitlines().index("            ctypes.string_at(0)") + 1
    assert f'toy_fuser.py", line {line} in read' in done.stderr
    assert " in broken_files_end\n" in done.stderr


def test_why_laws_were_not_tried_is_printed_when_asked_for(here: Run, install: Install) -> None:
    install()
    assert "not tried: 1 (--verbose says why)" in here("plugins", "check", "toy")[1]
    assert (
        "plugin toy: not tried: it names no extra (extras-exist)"
        in here("plugins", "check", "toy", "--verbose")[1]
    )


def test_options_of_an_addition_are_shown_as_a_registry_sets_them(here: Run, install: Install) -> None:
    install("chimera_fusion_generators", "chimera_metrics")
    out = here("plugins", "show", "fade")[1]
    assert "chimera --registry FILE ..., below [plugins.toy.options.fade]" in out
    assert "--strength" not in out and "strength" in out
    (shown,) = json.loads(here("plugins", "show", "fade", "--json")[1])
    assert [(o["flag"], o["name"]) for o in shown["options"]] == [(None, "strength")]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("cnn", "encoder train --encoder cnn"),
        ("pgd", "encoder train --encoder cnn --trainer pgd"),
        ("folder", "source info folder"),
        ("parts", "fuse --fuser parts"),
    ],
)
def test_options_are_shown_as_a_command_takes_them(here: Run, name: str, command: str) -> None:
    details = json.loads(here("plugins", "show", name, "--json")[1])
    (flags,) = [[o["flag"] for o in each["options"]] for each in details if each["name"] == name]
    words = here(*command.split(), "--help")[1].replace("/", " ").split()
    assert flags and not {*flags} - {*words}


@pytest.mark.slow
def test_torch_at_the_import_is_named_by_its_law(
    here: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("CHIMERA_API = 1", "CHIMERA_API = 1\nimport torch")
    monkeypatch.setattr(packaging, "heavy_imports", HEAVY_IMPORTS)
    assert broken(here, "toy") == {"torch-free": "torch."}


def test_a_class_without_its_methods_and_one_without_the_keyword_are_named(
    here: Run, install: Install
) -> None:
    install(fuser=FUSER.replace("def fuse", "def feud"))
    assert broken(here, "toy") == {"targets-are-whole": "toy_fuser:Fade has no fuse."}
    for name in ("toy_plugin", "toy_fuser"):
        sys.modules.pop(name, None)


def test_a_package_that_does_not_ask_for_the_toolkit_is_named(here: Run, install: Install) -> None:
    install(metadata=METADATA.replace("Requires-Dist: chimera-toolkit\n", ""))
    assert list(broken(here, "toy")) == ["depends-on-toolkit"]


def test_deep_names_the_law_value_and_page_of_a_component(here: Run, install: Install) -> None:
    install(fuser=FUSER.replace("parents[0].image, size", "parents[0].image, size // 2"))
    assert here("plugins", "check", "toy")[0] == 0
    code, out, _ = here("plugins", "check", "toy", "--deep")
    assert code == 1
    assert "fade: law size-asked-for is broken: The shorter side of the result is the size" in out
    assert "    met: 24 pixels, where 48 were asked for." in out
    assert "    docs: reference/contract.md#shapes-and-ranges" in out


@pytest.mark.parametrize(
    ("setup", "met"),
    [
        ('prepare="toy_fuser:prepar"', "toy_fuser has no function 'prepar' (did you mean 'prepare'?)"),
        ('prepare="toy_fuser"', "write 'package.module:function'"),
        ('prepare="toy_future:prepare"', "No module named 'toy_future'"),
        ('prepare="toy_fuser:misgive"', "gave PosixPath; return a table of options"),
        ('prepare="toy_fuser:prepare"', "no option 'rot'"),
        ("", "needs the option 'strength': give --strength; give it in the spec, by CheckSetup(options=...)"),
    ],
)
def test_a_check_that_cannot_begin_is_named_as_such_with_what_is_missing(
    here: Run, install: Install, setup: str, met: str
) -> None:
    functions = "\ndef prepare(folder):\n    return {'rot': 1}\n\ndef misgive(folder):\n    return folder\n"
    new = "(..., help" if not setup else "(1.0, help"
    install("presets=", f"check=CheckSetup({setup}), presets=", fuser=FUSER + functions)
    plugin = Path(sys.path[0], "toy_plugin.py")
    plugin.write_text(plugin.read_text().replace("(1.0, help", new))
    found = broken(here, "fade", "--deep")
    assert list(found) == ["can-be-tried"]
    assert met in found["can-be-tried"]


def test_declared_failures_pass_with_their_reason_and_are_refused_without_a_law(
    here: Run, install: Install
) -> None:
    setup = 'check=CheckSetup(expected_failures={"size-asked-for": "half is enough"}),\n presets'
    install("presets", setup, fuser=FUSER.replace("parents[0].image, size", "parents[0].image, size // 2"))
    code, out, _ = here("plugins", "check", "toy", "--deep")
    assert code == 0 and "size-asked-for: half is enough" in " ".join(out.split())


def test_a_declaration_that_names_no_law_is_a_fault(here: Run, install: Install) -> None:
    install("presets", 'check=CheckSetup(expected_failures={"size": "?"}),\n presets')
    found = broken(here, "toy", "--deep")
    assert list(found) == ["can-be-tried"] and "no law is named 'size'" in found["can-be-tried"]


def test_an_unknown_name_ends_with_the_nearest_and_exit_code_2(here: Run) -> None:
    code, out, err = here("plugins", "check", "contrls")
    assert (code, out) == (2, "") and "nothing is named 'contrls' (did you mean 'controls'?)" in err


def test_strict_refuses_a_plugin_that_breaks_a_law_of_packages(
    here: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHIMERA_PLUGINS_STRICT", "1")
    install('"strength": 2.0', '"strength": 9')
    code, out, err = here("plugins", "list")
    assert (code, out) == (1, "")
    assert "plugin toy: law presets-fit is broken: " in err and "CHIMERA_PLUGINS_STRICT is set" in err
    monkeypatch.setenv("CHIMERA_PLUGINS_STRICT", "")
    discovery._discover_once.cache_clear()
    assert here("plugins", "list")[0] == 0
