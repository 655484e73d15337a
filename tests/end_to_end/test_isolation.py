"""Bad plugins, as wheels installed by pip: each is named with cause and mend, and nothing else suffers.

All are installed into one scratch environment; a case then switches the other cases off.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FIELDS = ["name", "kind", "plugin", "distribution", "version", "summary", "trust", "status", "error"]

OFFER = """
from chimera_core.api import ComponentSpec, Config, hookimpl, option
CHIMERA_API = 1
class Options(Config):
    shade: float = option(0.5, help="how light", ge=0, le=1)
def offer(name, **rest):
    spec = {"name": name, "summary": "a stranger's", "target": __package__ + ".fuser:Plain", "config": Options}
    return [ComponentSpec(**{**spec, **rest})]
"""
FUSER = """
import torch
from chimera_core.api import FusionGenerator
print("the fuser says hello on stdout")
class Plain(FusionGenerator):
    def fuse(self, parents, weights, *, seeds, size):
        return torch.full((len(seeds), 3, size, size), self.config.shade)
class Other:
    pass
"""


def hook(body: str, *, head: str = "", name: str = "chimera_fusion_generators", takes: str = "") -> str:
    return f"{OFFER}\n{head}\n@hookimpl\ndef {name}({takes}):\n    {body}\n"


@dataclass(frozen=True)
class Bad:
    """One way to fail; the plugin and its distribution are named after it."""

    name: str
    source: str | None
    cause: str
    mend: str = "update the plugin with pip install -U bad-{name}, or remove it with pip uninstall bad-{name}"
    requires: str = ""


BROKEN = [
    Bad("import-error", "import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_mod"),
    Bad("syntax-error", "def (", "SyntaxError: invalid syntax"),
    Bad("exits", "import sys; print('bye'); sys.exit(3)", "SystemExit: 3"),
    Bad("odd-exception", "class Odd(BaseException): pass\nraise Odd('two\\nlines')", "Odd: two lines"),
    Bad("mute-exception", "class Mute(Exception):\n  def __str__(self): 1/0\nraise Mute", "Mute"),
    Bad("no-module", None, "No module named 'bad_no_module'"),
    Bad("api-older", "CHIMERA_API = 0", "written for plugin API 0, this is 1"),
    Bad(
        "api-newer",
        "CHIMERA_API = 2",
        "written for plugin API 2, this is 1",
        mend="update chimera-toolkit with pip install -U chimera-toolkit",
    ),
    Bad("api-missing", "", "does not say for which plugin API it is written"),
    Bad("api-quoted", "CHIMERA_API = '1'", "is the text '1', not a number: write CHIMERA_API = 1"),
    Bad("api-text", "CHIMERA_API = 'one'", "written for plugin API one, this is 1"),
    Bad(
        "unknown-hook",
        hook("return []", name="chimera_fusion_generatorz"),
        "a hook that this version of the toolkit does not know",
    ),
    Bad(
        "newer-field",
        hook("return offer('x', palette='warm')"),
        "unexpected keyword argument 'palette' (plugin.py, line 8): if it was written for a newer toolkit, update "
        "chimera-toolkit with pip install -U chimera-toolkit; else ",
    ),
    Bad(
        "newer-name",
        "from chimera_core.api import Palette",
        "cannot import name 'Palette' from 'chimera_core.api'",
    ),
    Bad(
        "newer-requirement",
        hook("return offer('x', palette='warm')"),
        "it needs chimera-toolkit >=99, and this is ",
        mend="update chimera-toolkit with pip install -U chimera-toolkit",
        requires="Requires-Dist: chimera_toolkit>=99",
    ),
    Bad("hook-argument", hook("return []", takes="colour"), "takes other arguments than ours"),
    Bad(
        "hook-raises",
        hook("raise RuntimeError('boom')"),
        "RuntimeError: boom (plugin.py, line 13): update the plugin",
    ),
    Bad("hook-exits", hook("raise SystemExit"), "SystemExit"),
    Bad(
        "hook-wrong-type",
        hook("return {'name': 'x'}"),
        "must return a list of ComponentSpec, but it returned {",
    ),
    Bad("hook-no-return", hook("offer('x')"), "must return a list of ComponentSpec, but it returned None"),
    Bad("config-no-model", hook("return offer('x', config=dict)"), "<class 'dict'> is not a pydantic model"),
    Bad(
        "config-no-flag",
        hook(
            "return offer('x', config=Deep)",
            head="class Deep(Config):\n    table: dict[str, int] = option({}, help='x')",
        ),
        "option 'table' is of type dict",
    ),
    Bad("bad-name", hook("return offer('wolf:x')"), "'wolf:x', which is not kebab-case"),
    Bad("bad-target", hook("return offer('x', target='nowhere')"), "'nowhere', not 'package.module:Class'"),
    Bad(
        "same-twice", hook("return offer('x') + offer('x')"), "offers two of kind fusion-generator named 'x'"
    ),
]
# These load; what is wrong with them shows in their rows or on first use.
LOADED = {
    "good": hook("return offer('good')"),
    "noisy": hook("return offer('noisy')", head="print('import says hello on stdout')"),
    "empty": "CHIMERA_API = 1",
    "wolf": hook("return offer('howl')"),
    "dog": hook("return offer('howl')"),
    "thief": hook("return offer('style-transfer')"),
    "encoder-thief": hook("return offer('timm')", name="chimera_feature_encoders"),
    "no-target": hook("return offer('no-target', target='bad_nowhere.fuser:Plain')"),
    "no-class": hook("return offer('no-class', target=__package__ + '.fuser:Absent')"),
    "wrong-class": hook("return offer('wrong-class', target=__package__ + '.fuser:Other')"),
    "hungry": hook("return offer('hungry', extra='feast', requires=('json', 'no_such_feast'))"),
    "slow": hook(
        "return offer('slow')", head="import os, time; time.sleep(float(os.environ.get('SLEEP', '0')))"
    ),
    "shy": hook("return offer('shy')", head="import os; open(os.environ['WITNESS'], 'a').write('x')"),
}
BAD_NAMES = {bad.name for bad in BROKEN} | {"twin"}


def write_wheel(folder: Path, distribution: str, plugin: str, source: str | None, requires: str = "") -> Path:
    """Write a wheel by hand: the package, its entry point, and the three files that make it a wheel."""
    package = distribution.replace("-", "_")
    info = f"{package}-1.5.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n{requires}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[chimera.plugins]\n{plugin} = {package}.plugin\n",
    }
    if source is not None:
        files |= {f"{package}/__init__.py": "", f"{package}/plugin.py": source, f"{package}/fuser.py": FUSER}
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{package}-1.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, make_scratch: Callable[[], Any]) -> Any:
    """An environment with every plugin of this module installed beside ours."""
    folder = tmp_path_factory.mktemp("wheels")
    scratch = make_scratch()
    wheels = [write_wheel(folder, f"bad-{b.name}", b.name, b.source, b.requires) for b in BROKEN]
    wheels += [write_wheel(folder, f"bad-{name}", name, source) for name, source in LOADED.items()]
    witness = f"open({str(scratch.root / 'twin-imported')!r}, 'w')\n"
    wheels += [
        write_wheel(folder, f"bad-{who}-twin", "twin", witness + hook(f"return offer('{who}')"))
        for who in ("first", "second")
    ]
    scratch.install(*wheels)
    return scratch


@pytest.fixture(scope="module")
def run(crowd: Any) -> Callable[..., Any]:
    """Run a command with everything installed, and only what is named in ``on`` of the broken switched on."""

    def call(*args: object, on: str = "", off: str = "", anew: bool = False, **environ: str) -> Any:
        disabled = ",".join(sorted((BAD_NAMES | set(off.split(","))) - {on, ""}))
        environ = {"CHIMERA_PLUGINS_DISABLE": disabled, "WITNESS": str(crowd.root / "witness")} | environ
        return crowd.chimera(*args, **environ) if anew else crowd.forked(*args, **environ)

    return call


@pytest.fixture(scope="module")
def rows(crowd: Any) -> list[dict[str, Any]]:
    """What ``plugins list --json`` says with everything switched on."""
    done = crowd.chimera("plugins", "list", "--json", WITNESS=str(crowd.root / "witness"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert all(list(row) == FIELDS for row in found)
    assert {row["status"] for row in found} <= {"ok", "disabled", "broken", "needs-extra", "not-installed"}
    return found


def squeezed(text: str) -> str:
    """Take out white space: a table folds long cells."""
    return "".join(text.split())


def errors_of(done: Any) -> list[str]:
    """The lines on stderr, without what the noisy plugins print there."""
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if "says hello on stdout" not in line and line != "bye"]


def test_our_own_plugins_are_well_in_bad_company(rows: list[dict[str, Any]]) -> None:
    ours = {r["name"]: (r["status"], r["trust"]) for r in rows if r["distribution"] == "chimera-toolkit"}
    assert ours.keys() >= {"folder", "timm", "style-transfer"}
    assert {trust for _, trust in ours.values()} == {"first-party"}
    # What trainings log to is extras, each by itself.
    assert {name for name, (status, _) in ours.items() if status != "ok"} <= {
        "tensorboard",
        "wandb",
        "mlflow",
    }


@pytest.mark.parametrize("bad", BROKEN, ids=lambda bad: bad.name)
def test_a_broken_plugin_is_said_once_with_cause_and_mend(
    run: Callable[..., Any], rows: list[dict[str, Any]], bad: Bad
) -> None:
    mend = bad.mend.format(name=bad.name)
    (row,) = [r for r in rows if r["plugin"] == bad.name]
    assert (row["name"], row["kind"], row["distribution"]) == (bad.name, None, f"bad-{bad.name}")
    assert (row["version"], row["status"], row["trust"]) == ("1.5", "broken", "unlisted")
    assert bad.cause in row["error"] and row["error"].endswith(mend)

    listed = run("plugins", "list", on=bad.name)
    assert listed.returncode == 0
    assert errors_of(listed) == [
        f"chimera: plugin {bad.name} (bad-{bad.name} 1.5) is left out: {row['error']}"
    ]
    assert squeezed(row["error"]) in squeezed(listed.stdout)

    strict = run("plugins", "list", on=bad.name, CHIMERA_PLUGINS_STRICT="1")
    assert (strict.returncode, strict.stdout) == (1, "")
    (line,) = errors_of(strict)
    assert f"plugin {bad.name} is broken, and CHIMERA_PLUGINS_STRICT is set: " in line and mend in line


def test_strict_counts_what_else_is_broken_and_is_content_with_what_is_not(
    crowd: Any, run: Callable[..., Any]
) -> None:
    strict = crowd.chimera("plugins", "list", CHIMERA_PLUGINS_STRICT="1", WITNESS=str(crowd.root / "witness"))
    assert strict.returncode == 1
    (line,) = errors_of(strict)
    assert f" is broken (and {len(BROKEN) + 1} more)" in line  # the twins are two
    # What loads and offers nothing is as useless as what is broken: its hooks were forgotten, say.
    useless = run("plugins", "show", "good", CHIMERA_PLUGINS_STRICT="1")
    assert useless.returncode == 1 and "plugin empty: law offers-components is broken" in useless.stderr
    # And so is an extra that nobody can install.
    wrong = run("plugins", "show", "good", CHIMERA_PLUGINS_STRICT="1", off="empty")
    assert wrong.returncode == 1 and "plugin hungry: law extras-exist is broken" in wrong.stderr
    assert run("plugins", "show", "good", CHIMERA_PLUGINS_STRICT="1", off="empty,hungry").returncode == 0


def test_a_good_fuser_works_in_bad_company(crowd: Any, picture: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    command = (
        "fuse",
        picture("a.png"),
        picture("b.png"),
        "--fuser",
        "good",
        "--shade",
        ".25",
        "--size",
        "32",
    )
    done = crowd.chimera(*command, "-o", out, "--json", WITNESS=str(tmp_path / "witness"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == [str(out)]  # though plugins and fuser print while imported
    assert "the fuser says hello on stdout" in done.stderr
    assert "import says hello on stdout" in done.stderr
    for bad in BROKEN:
        assert sum(f"plugin {bad.name} (" in line for line in errors_of(done)) == 1


def test_two_distributions_with_one_plugin_name_are_both_left_out_unimported(
    crowd: Any, run: Callable[..., Any], rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    twins = [r for r in rows if r["plugin"] == "twin"]
    assert [(r["distribution"], r["status"]) for r in twins] == [
        ("bad-first-twin", "broken"),
        ("bad-second-twin", "broken"),
    ]
    for row in twins:
        assert (
            "bad-first-twin and bad-second-twin both name a plugin 'twin': remove one with pip"
            in row["error"]
        )
    assert not (crowd.root / "twin-imported").exists()

    registry = tmp_path / "mine.toml"
    registry.write_text('[plugins.twin]\ndistribution = "Bad_First.Twin"\n')
    listed = run("--registry", registry, "plugins", "list", "--json", on="twin")
    first, second = (r for r in json.loads(listed.stdout) if r["plugin"] == "twin")
    assert (first["name"], first["status"]) == ("first", "ok")
    assert "pip uninstall bad-second-twin" in second["error"]
    (crowd.root / "twin-imported").unlink()


def test_a_stranger_with_the_plugin_name_of_ours_is_left_out_unimported(scratch: Any, tmp_path: Path) -> None:
    witness = f"open({str(tmp_path / 'imported')!r}, 'w')"
    scratch.install(write_wheel(tmp_path, "bad-thief", "style", witness))
    rows = json.loads(scratch.chimera("plugins", "list", "--json").stdout)
    thief, ours = sorted((r for r in rows if r["plugin"] == "style"), key=lambda r: r["distribution"])
    assert (ours["name"], ours["status"], ours["trust"]) == ("style-transfer", "ok", "first-party")
    assert (thief["distribution"], thief["status"], thief["trust"]) == ("bad-thief", "broken", "unlisted")
    assert thief["error"] == (
        "the registry gives its name to chimera-toolkit: remove it with pip uninstall bad-thief"
    )
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("name", "plugins"), [("howl", ("dog", "wolf")), ("style-transfer", ("style", "thief"))]
)
def test_of_two_components_with_one_name_neither_wins_and_the_plugin_picks(
    run: Callable[..., Any], rows: list[dict[str, Any]], name: str, plugins: tuple[str, str]
) -> None:
    found_rows = {r["plugin"]: (r["status"], r["error"]) for r in rows if r["name"] == name}
    for plugin, other in (plugins, plugins[::-1]):
        assert found_rows[plugin] == ("ok", f"{other} offers this name too: write '{plugin}:{name}'")

    wrong = run("fuse", "a.png", "b.png", "--fuser", name)
    assert wrong.returncode == 2
    assert f"write '{plugins[0]}:{name}' or '{plugins[1]}:{name}'" in errors_of(wrong)[-1]
    for plugin in plugins:
        usage = run("fuse", "--fuser", f"{plugin}:{name}", "--help")
        assert usage.returncode == 0, usage.stderr
        assert ("--shade" in usage.stdout) == (plugin != "style")


def test_our_defaults_are_ours_though_strangers_offer_their_names(run: Callable[..., Any]) -> None:
    usage = run("fuse", "--help")
    assert usage.returncode == 0, usage.stderr
    assert "--head-box" in usage.stdout


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("no-target", "cannot be loaded from bad_nowhere.fuser:Plain (ModuleNotFoundError"),
        ("no-class", "cannot be loaded from bad_no_class.fuser:Absent (AttributeError"),
        ("wrong-class", "bad_wrong_class.fuser:Other is not a FusionGenerator"),
        ("hungry", "needs more than is installed: pip install 'bad-hungry[feast]'"),
    ],
)
def test_what_cannot_be_used_says_so_on_first_use(
    run: Callable[..., Any], rows: list[dict[str, Any]], picture: Callable[..., Path], name: str, cause: str
) -> None:
    (row,) = [r for r in rows if r["name"] == name]
    needs = "pip install 'bad-hungry[feast]'"
    assert (row["status"], row["error"]) == (("needs-extra", needs) if name == "hungry" else ("ok", None))
    done = run("fuse", picture("a.png"), picture("b.png"), "--fuser", name)
    assert (done.returncode, done.stdout) == (2, "")
    line = errors_of(done)[-1]
    assert cause in line
    assert f"pip install -U bad-{name}" in line or needs in line


def test_a_slow_plugin_is_named_with_its_time_and_mend(run: Callable[..., Any]) -> None:
    found = json.loads(run("doctor", "--json", anew=True, SLEEP="0.6").stdout)
    slow = {p["name"]: p["load_ms"] for p in found["plugins"] if p["slow"]}
    assert "slow" in slow and 600 <= slow["slow"] < 5000
    assert {"style", "timm", "folder", "good"}.isdisjoint(slow)
    warnings = run("doctor", SLEEP="0.6").stdout
    assert "plugin slow makes every command 0." in warnings and "CHIMERA_PLUGINS_DISABLE=slow" in warnings
    assert "plugin good makes" not in warnings


def test_show_says_what_ails_a_plugin_and_where_the_registry_speaks_of_it(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (shown,) = json.loads(run("plugins", "show", "import-error", "--json", on="import-error").stdout)
    assert (shown["kind"], shown["status"], shown["registry"]) == (None, "broken", [])
    assert "no_such_module_at_all" in shown["error"] and "pip uninstall bad-import-error" in shown["error"]
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[plugins.good]\ntrust = "reviewed"\n[plugins.good.options.good]\nshade = 0.25\n'
        '[plugins.yeti]\ndistribution = "chimera-yeti"\nsummary = "seldom seen"\n'
    )
    good, yeti = (
        json.loads(run("--registry", mine, "plugins", "show", name, "--json").stdout)[0]
        for name in ("good", "yeti")
    )
    assert good["trust"] == "reviewed"
    assert good["registry"] == [
        {"key": "trust", "value": "reviewed", "origin": f"registry {mine} line 2"},
        {"key": "options.good.shade", "value": 0.25, "origin": f"registry {mine} line 4"},
    ]
    (shade,) = good["options"]
    assert (shade["value"], shade["origin"]) == (0.25, f"registry {mine} line 4")
    assert (yeti["status"], yeti["error"]) == ("not-installed", "pip install chimera-yeti")

    doctor = json.loads(run("--registry", mine, "doctor", "--json").stdout)
    found_rows = {row["key"]: (row["value"], row["origin"]) for row in doctor["registry"]}
    assert found_rows["plugins.good.options.good.shade"] == (0.25, f"registry {mine} line 4")
    assert (
        found_rows["plugins.timm.trust"][0] == "first-party"
        and "line " in found_rows["plugins.timm.trust"][1]
    )


def test_a_plugin_that_offers_nothing_has_a_row(rows: list[dict[str, Any]]) -> None:
    (row,) = [r for r in rows if r["plugin"] == "empty"]
    assert (row["kind"], row["status"], row["summary"]) == (None, "ok", "offers no component")


def test_a_plugin_that_is_switched_off_is_not_imported(run: Callable[..., Any], tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    registry = tmp_path / "mine.toml"
    registry.write_text("[plugins.shy]\nenabled = false\n")
    off = ",".join(sorted(BAD_NAMES | {"shy"}))
    for arguments, environ, cause in (
        ((), {"CHIMERA_PLUGINS_DISABLE": off}, "switched off by CHIMERA_PLUGINS_DISABLE"),
        (("--registry", registry), {}, "switched off by enabled = false in the registry"),
    ):
        listed = run(*arguments, "plugins", "list", "--json", WITNESS=str(witness), **environ)
        (row,) = [r for r in json.loads(listed.stdout) if r["plugin"] == "shy"]
        assert (row["status"], row["error"]) == ("disabled", cause)
        assert not witness.exists()
    used = run("fuse", "a.png", "b.png", "--fuser", "shy", WITNESS=str(witness), CHIMERA_PLUGINS_DISABLE=off)
    assert used.returncode == 2
    assert "plugin shy is disabled: switched off by CHIMERA_PLUGINS_DISABLE" in errors_of(used)[-1]
    assert not witness.exists()
    run("plugins", "list", "--json", WITNESS=str(witness))
    assert witness.exists()
