"""A stranger's wheel with an asset, a model, defaults, a metric and an attack: all there at once, and gone with it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from chimera_core.images import read_notes

TABLE = b"0.25"
PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "chimera-carrier"
version = "0.2"
dependencies = ["chimera-toolkit"]
[project.entry-points."chimera.plugins"]
carrier = "chimera_carrier.plugin"
[tool.hatch.build.targets.wheel]
packages = ["chimera_carrier"]
"""
PLUGIN = """
from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class MeansConfig(Config):
    gain: float = option(1.0, help="how bright", ge=0, le=2)


class NoOptions(Config):
    pass


@hookimpl
def chimera_fusion_generators():
    return [ComponentSpec("means", "mixes colours that were learned", "chimera_carrier.parts:Means", MeansConfig)]


@hookimpl
def chimera_metrics():
    return [ComponentSpec("offset", "brightness less a table's", "chimera_carrier.parts:Offset", NoOptions)]


@hookimpl
def chimera_attacks():
    return [ComponentSpec("fade", "towards grey", "chimera_carrier.parts:Fade", NoOptions)]
"""
PARTS = """
import torch
from chimera_core.api import AdversarialAttack, CreatureMetric, FusionGenerator, find_asset


class Means(FusionGenerator):
    accepts = frozenset({"class"})
    needs_training = True

    def load(self, state, facts):
        self.colours = dict(zip(facts.classes, state["colours"]))

    def fuse(self, parents, weights, *, seeds, size):
        colour = sum(w * self.colours[p.class_name] for w, p in zip(weights, parents)) * self.config.gain
        return colour.clamp(0, 1).view(1, 3, 1, 1).expand(len(seeds), 3, size, size).contiguous()


class Offset(CreatureMetric):
    better = "lower"
    meaning = "Mean of the pixels less the number of a table, -1 to 1."

    def measure(self, images, parents, weights):
        return images.mean((1, 2, 3)) - float(find_asset("carrier-table").read_text())


class Fade(AdversarialAttack):
    norms = frozenset({"linf"})

    def __call__(self, encoder, x, y, *, draw):
        return x + (0.5 - x).clamp(-self.eps, self.eps)
"""
REGISTRY = """[assets.carrier-table]
url = "http://127.0.0.1:{port}/table.txt"
filename = "carrier-table.txt"
size = {size}
sha256 = "{sha256}"
licence = "CC0-1.0"

[models.dusk-dawn]
fuser = "means"
file = "dusk-dawn.safetensors"
classes = ["dusk", "dawn"]
licence = "CC0-1.0"
summary = "two skies"

[plugins.carrier.options.means]
gain = 0.5
"""


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[int, list[str]]]:
    """A server of the table: its port, and the addresses that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(TABLE)))
            self.end_headers()
            self.wfile.write(TABLE)

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], paths
    server.shutdown()


@pytest.fixture(scope="module")
def wheel(
    tmp_path_factory: pytest.TempPathFactory,
    build_wheel: Callable[[Path], Path],
    asked: tuple[int, list[str]],
) -> Path:
    project = tmp_path_factory.mktemp("carrier")
    package = project / "chimera_carrier"
    (package / "models").mkdir(parents=True)
    (project / "pyproject.toml").write_text(PROJECT)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN)
    (package / "parts.py").write_text(PARTS)
    (package / "registry.toml").write_text(
        REGISTRY.format(port=asked[0], size=len(TABLE), sha256=hashlib.sha256(TABLE).hexdigest())
    )
    header = {
        "format": 1,
        "kind": "fuser",
        "fuser": "carrier:means",
        "distribution": "chimera-carrier",
        "classes": ["dusk", "dawn"],
        "accepts": ["class"],
        "size": 16,
    }
    colours = np.array([[0.2, 0.2, 0.6], [1.0, 0.6, 0.2]], np.float32)
    save_file(
        {"colours": colours}, package / "models" / "dusk-dawn.safetensors", {"chimera": json.dumps(header)}
    )
    return build_wheel(project)


@pytest.mark.slow
def test_what_a_wheel_carries_is_there_at_once_and_gone_with_it(
    wheel: Path, make_scratch: Callable[[], Any], asked: tuple[int, list[str]], picture: Callable[..., Path]
) -> None:
    scratch = make_scratch()
    scratch.install(wheel)
    here = scratch.root
    own = {name: str(here / name) for name in ("assets", "runs", "cache")}
    environ = {f"CHIMERA_{name.upper()}": path for name, path in own.items()} | {
        "OMP_NUM_THREADS": "1",
        "no_proxy": "127.0.0.1",
    }

    def run(*line: object) -> str:
        done = scratch.forked(*line, **environ)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    # Listed, and in the help of what takes it.
    listed = {c["name"]: c["kind"] for c in json.loads(run("plugins", "list", "--json"))}
    assert [listed[name] for name in ("means", "offset", "fade")] == ["fusion-generator", "metric", "attack"]
    assert "dusk-dawn" in run("plugins", "list") and "carrier-table" in run("doctor")
    assert "--gain" in run("fuse", "--fuser", "dusk-dawn", "--help")
    # The model is found by the names of its classes, as ours are.
    run("fuse", "dusk", "dawn", "-o", here / "sky.png", "--json")
    told = read_notes(here / "sky.png")
    assert (told["chimera.fuser"], told["chimera.distribution"]) == ("dusk-dawn", "chimera-carrier")

    # Its metric asks the local server for the asset, once, and is in the scorecard.
    red, blue = picture("red.png", colour=(200, 40, 40)), picture("blue.png", colour=(40, 40, 200))
    line = ("score", here / "sky.png", "--parents", red, blue, "--weights", ".5,.5", "--judge", "robust-small-64",
            "--size", 32, "--metric", "offset", "--json")  # fmt: skip
    assert asked[1] == []
    scored = json.loads(run(*line))
    value = scored["images"][0]["metrics"]["carrier:offset"]["value"]
    assert value == pytest.approx((0.6 + 0.4 + 0.4) / 3 - float(TABLE), abs=0.01)
    assert scored["plugin_metrics"]["carrier:offset"]["distribution"] == "chimera-carrier"
    assert json.loads(run(*line))["images"] and asked[1] == ["/table.txt"]

    # Its attack measures an encoder.
    for label, colour in (("warm", (220, 60, 30)), ("cold", (30, 60, 220))):
        (red.parent / "data" / label).mkdir(parents=True)
        for number in range(8):
            picture(f"data/{label}/{number}.png", colour=(colour[0], 20 * number, colour[2]))
    data = red.parent / "data"
    run("encoder", "train", "--source", "folder", "--source.root", data, "--encoder", "cnn", "--size", 16,
        "--batch", 4, "--images", 16, "--device", "cpu", "--run", "small")  # fmt: skip
    found = json.loads(run("encoder", "evaluate", "small", "--attack", "fade", "--device", "cpu", "--json"))
    assert found["attacks"].keys() == {"fade"}

    (kept,) = here.glob("lib/python*/site-packages/chimera_carrier/models/dusk-dawn.safetensors")
    exported = here / "mine.safetensors"
    exported.write_bytes(kept.read_bytes())
    assert run("fuse", "dusk", "dawn", "--fuser", exported, "-o", here / "again.png", "--json")

    scratch.uninstall("chimera-carrier")
    after = scratch.chimera("plugins", "list", "--json", **environ)
    assert not {"means", "offset", "fade"} & {c["name"] for c in json.loads(after.stdout)}
    gone = scratch.chimera("fuse", "dusk", "dawn", "--fuser", exported, "-o", here / "gone.png", **environ)
    assert gone.returncode != 0 and "Traceback" not in gone.stderr
    assert gone.stderr.rstrip().endswith("and that is not installed: pip install chimera-carrier")
    assert not (here / "gone.png").exists()
