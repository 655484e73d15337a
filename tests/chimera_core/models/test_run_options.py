"""What was made with a package that is gone names what to install."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from chimera_core.errors import PluginError
from chimera_core.models.encoders import resolve_encoder
from chimera_core.models.fusers import find_trained_fuser
from chimera_core.models.run_options import ENCODER, read_options
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import default_host

CONFIG = """
source = { name = "folder" }
trainer = { name = "standard" }
encoder = { name = "codemix:code-net" }
"""


def write_run(folder: Path, *, plugins: Any) -> Path:
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG)
    (folder / "run.json").write_text(json.dumps({"kind": ENCODER, "status": "done", "plugins": plugins}))
    return folder


def test_a_run_names_the_distribution_that_its_component_came_with(tmp_path: Path) -> None:
    plugins = [{"name": "codemix", "distribution": "code-mix", "version": "1.0", "status": "ok"}]
    run = write_run(tmp_path / "wolf", plugins=plugins)
    with pytest.raises(
        PluginError,
        match=r"run .*wolf.* 'codemix:code-net', which came with code-mix.*: pip install code-mix$",
    ):
        read_options(run, EncoderTraining, ENCODER, default_host())


@pytest.mark.parametrize("plugins", [None, [3], [{"name": "codemix", "distribution": "x; rm -rf /"}]])
def test_a_run_that_does_not_say_it_ends_in_the_plain_message(tmp_path: Path, plugins: Any) -> None:
    run = write_run(tmp_path / "wolf", plugins=plugins)
    with pytest.raises(PluginError, match="no feature-encoder is named 'codemix:code-net'"):
        read_options(run, EncoderTraining, ENCODER, default_host())


def test_exported_files_name_the_distribution_too(tmp_path: Path) -> None:
    fuser = {"fuser": "codemix:code-mix", "classes": ["a"], "accepts": ["class"], "size": 32}
    encoder = {"encoder": "codemix:code-net", "size": 32}
    for kind, said in {"fuser": fuser, "encoder": encoder}.items():
        file = tmp_path / f"{kind}.safetensors"
        note = {"format": 1, "kind": kind, "distribution": "code-mix", **said}
        save_file({"w": np.zeros(1, np.float32)}, file, {"chimera": json.dumps(note)})
        with pytest.raises(PluginError, match=r"which came with code-mix.*: pip install code-mix$"):
            if kind == "fuser":
                find_trained_fuser(default_host(), str(file))
            else:
                resolve_encoder(default_host(), str(file)).load()
