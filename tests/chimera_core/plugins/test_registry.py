from __future__ import annotations

import gc
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chimera_core.errors import ConfigError
from chimera_core.plugins.entries import KindName
from chimera_core.plugins.hookspecs import KINDS
from chimera_core.plugins.registry import read_registry, shipped_registry


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


def test_another_distribution_under_our_name_is_not_ours(tmp_path: Path) -> None:
    registry = read_registry(write(tmp_path, '[plugins.timm]\ndistribution = "timm-of-another"\n'))
    assert registry.plugins["timm"].trust == "listed"
    same = read_registry().plugins["timm"].distribution
    registry = read_registry(write(tmp_path, f'[plugins.timm]\ndistribution = "{same}"\n'))
    assert registry.plugins["timm"].trust == "first-party"


def test_a_whole_checksum_may_come_over_http(tmp_path: Path) -> None:
    text = f'[assets.vgg19]\nurl = "http://example.org/vgg19.pth"\nsha256 = "{"ab" * 32}"\n'
    assert read_registry(write(tmp_path, text)).assets["vgg19"].checksum == "ab" * 32


def test_a_registry_that_merely_lies_here_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from chimera_core.plugins import discovery as plugins

    (tmp_path / "registry.toml").write_text("[plugins.wolf]\nsummary = 'howls'\n")
    monkeypatch.chdir(tmp_path)
    for named, expected in (
        ((), ["registry.toml in this folder changes the registry: name it with --registry to agree"]),
        ((Path("registry.toml"),), []),
    ):
        caplog.clear()
        plugins._discover_once.cache_clear()
        assert plugins._discover_once(named).registry.plugins["wolf"].summary == "howls"
        assert [record.getMessage() for record in caplog.records] == expected
    plugins._discover_once.cache_clear()


def test_default_options_come_by_plugin_and_component(tmp_path: Path) -> None:
    registry = read_registry(write(tmp_path, "[plugins.style.options.style-transfer]\niterations = 7\n"))
    (layer,) = registry.option_layers("style", "style-transfer")
    assert layer.values == {"iterations": 7}
    assert layer.place(("iterations",)) == f"registry {tmp_path / 'mine.toml'} line 2"
    assert registry.option_layers("style", "other") == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "\n[plugins.timm]\nenabeld = false",
            3,
            "plugins.timm.enabeld: unknown key (did you mean 'enabled'?)",
        ),
        (
            "[plugin.timm]\nenabled = false",
            1,
            "plugin: unknown key (did you mean 'plugins'?)",
        ),
        ("[plugins.timm]\nenabled = 'yes'", 2, "but it is 'yes': write true or false, without quotes"),
        ("[plugins.timm]\nenabled = 1", 2, "but it is 1: write true or false"),
        ("[plugins.timm]\nsummary = 3", 2, 'but it is 3: write it in quotes, summary = "..."'),
        ("[plugins.timm]\n\n\nkinds = 'fuser'", 4, "but it is 'fuser': write a list, kinds = [\"...\"]"),
        ("[plugins.timm]\nkinds = ['feature-encoderr']", 2, "(did you mean 'feature-encoder'?)"),
        ("[plugins.timm]\ntrust = 'first party'", 2, "(did you mean 'first-party'?)"),
        (
            "[plugins.wolf]\ntrust = 'first-party'",
            2,
            "only the registry that comes along says what is first-party",
        ),
        (
            "[plugins.timm]\ndistribution = 'another'\ntrust = 'first-party'",
            3,
            "only the registry that comes along says what is first-party",
        ),
        ("[plugins.wolf]\ndistribution = 'x; rm -rf ~'", 2, "'x; rm -rf ~' is not a name of a distribution"),
        ("[plugins.wolf]\ndistribution = '--index-url=x'", 2, "is not a name of a distribution"),
        (
            "[assets.vgg19]\nurl = 'http://example.org/vgg19.pth'\nsha256_prefix = 'dcbb9e9d'",
            1,
            "over http anyone on the way can send another file with such a prefix: write https, or the whole sha256",
        ),
        ("[plugins.timm.options]\ntimm = 3", 2, "plugins.timm.options.timm: "),
        ("[plugins]\ntimm = 'on'", 2, "plugins.timm: write a table"),
        ("plugins = 3", 1, "write a table, [... .plugins]"),
        ("[plugins.timm", None, "cannot be read (Expected ']' at the end of a table declaration (at "),
        ("[models.x]\nlicence = 'MIT'\nfile = 'a.safetensors'", 1, "models.x: give either fuser or encoder"),
        ("[models.x]\nfusr = 'gan'\nlicence = 'MIT'", 2, "(did you mean 'fuser'?)"),
    ],
)
def test_a_mistake_names_file_line_and_key_and_what_to_write(
    tmp_path: Path, text: str, line: int | None, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_registry(write(tmp_path, text))
    place = f"mine.toml line {line}: " if line else "mine.toml "
    assert place in str(caught.value)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothere\.toml does not exist"):
        read_registry(tmp_path / "nothere.toml")


# --- assets ----------------------------------------------------------------------------------------------

GOOD: dict[str, object] = {
    "url": "https://example.org/a.pth",
    "filename": "a.pth",
    "size": 5,
    "sha256_prefix": "dcbb9e9d",
    "licence": "MIT",
}


def as_toml(value: object) -> str:
    """Write a value in one line. tomllib only reads, and nothing we depend on writes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{as_toml(str(k))} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    # JSON's strings, numbers and booleans are TOML's, but for the control character DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def asset_toml(**changes: object) -> str:
    entry = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return f"[assets]\nmine = {as_toml(entry)}\n"


def test_the_shipped_registry_knows_vgg19() -> None:
    entry = read_registry().assets["vgg19"]
    assert entry.places == ("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",)
    # 143,667,240 parameters in float32, and what torch.save adds to 38 tensors.
    assert 0 < entry.size - 143_667_240 * 4 < 38 * 200
    assert entry.filename == f"vgg19-{entry.checksum}.pth"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"url": None, "urls": ["https://a.org/x", "https://b.org:8080/x?y=%20", "file:///srv/x"]},
        {"sha256_prefix": None, "sha256": "AB" * 32},
        {"filename": "a+b_c-1.0.safetensors"},
        {"sha256_prefix": None, "sha256": "ab" * 32, "url": "http://[::1]:8000/a.pth"},
    ],
)
def test_a_good_asset_is_read(tmp_path: Path, changes: dict[str, object]) -> None:
    entry = read_registry(write(tmp_path, asset_toml(**changes))).assets["mine"]
    assert entry.places and entry.checksum == entry.checksum.lower()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({"filename": name}, "is not a plain file name")
            for name in (
                *(
                    "../a.pth",
                    "/etc/passwd",
                    "a/b",
                    "a\\b",
                    "..",
                    ".",
                    "",
                    ".hidden",
                    "-rf",
                    "a.pth.part",
                    "a.",
                ),
                *("a\nb", "a\x00b", "a b", "ä.pth", "x" * 129, "NUL.pth", "com1", "c:a", "\u202eabc"),
            )
        ),
        *(
            ({"url": url}, "is not an address of a file")
            for url in (
                *("ftp://a.org/x", "data:,x", "javascript:x", "a.pth", "//a.org/x", "https:///x", "http://"),
                *("http://[::1/x", "http://a.org:99999/x", "http://a.org:0/x", "https://me:secret@a.org/x"),
                *(
                    "https://a.org/a b",
                    "https://a.org/\r\nHost: b",
                    "https://ä.org/",
                    "https://a.org\\@b.org/",
                ),
                *("file://host/x", "file:x", "file:///a%00b", "https://a.org/" + "x" * 2000),
            )
        ),
        ({"urls": ["ftp://a.org/x"], "url": None}, "assets.mine.urls: 'ftp://a.org/x' is not an address"),
        ({"urls": ["https://a.org/x"]}, "assets.mine: give either url or urls"),
        ({"url": None}, "give either url or urls"),
        ({"url": None, "urls": []}, "give either url or urls"),
        ({"sha256": "ab" * 32}, "give either sha256 or sha256_prefix"),
        ({"sha256_prefix": None}, "give either sha256 or sha256_prefix"),
        ({"sha256_prefix": "dcbb9e9"}, "'dcbb9e9' is not a checksum: write 8 to 63 hex digits"),
        ({"sha256_prefix": "dcbb9e9x"}, "is not a checksum"),
        ({"sha256_prefix": "dcbb9e9d\n"}, "is not a checksum"),
        ({"sha256_prefix": None, "sha256": "ab" * 31}, "is not a checksum: write 64 hex digits"),
        *(({"size": size}, "assets.mine.size") for size in (0, -1, 2**40 + 1, 10**30, 5.0, "5", True, None)),
        ({"licence": None}, "assets.mine.licence: field required"),
        ({"licnce": "MIT"}, "(did you mean 'licence'?)"),
    ],
)
def test_a_hostile_or_mistaken_asset_is_refused_when_it_is_read(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_registry(write(tmp_path, asset_toml(**changes)))
    assert "mine.toml line 2: assets.mine" in str(caught.value)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_two_assets_never_share_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'vgg19' and 'mine' have the same filename 'VGG19-dcbb9e9d\.pth'"):
        read_registry(write(tmp_path, asset_toml(filename="VGG19-dcbb9e9d.pth")))


def test_a_user_may_change_one_thing_about_a_shipped_asset(tmp_path: Path) -> None:
    shipped = read_registry().assets["vgg19"]
    text = f'[assets.vgg19]\nurls = ["file:///srv/vgg19.pth", "{shipped.url}"]\nsha256 = "{"dcbb9e9d" * 8}"\n'
    entry = read_registry(write(tmp_path, text)).assets["vgg19"]
    assert entry.places == ("file:///srv/vgg19.pth", shipped.url)
    assert entry.checksum == "dcbb9e9d" * 8
    assert (entry.size, entry.licence) == (shipped.size, shipped.licence)


def test_every_value_says_which_file_and_line_it_comes_from(tmp_path: Path) -> None:
    text = '[plugins.timm]\ntrust = "listed"\n[plugins.style.options.style-transfer]\niterations = 7\n'
    mine = write(tmp_path, text)
    registry = read_registry(mine)
    places = {".".join(keys): (value, place) for keys, value, place in registry.values()}
    assert places["plugins.timm.trust"] == ("listed", f"registry {mine} line 2")
    assert places["plugins.style.options.style-transfer.iterations"] == (7, f"registry {mine} line 4")
    shipped = [place for key, (_, place) in places.items() if key.startswith(("plugins.folder", "assets."))]
    assert len(shipped) > 6 and all(f"registry {shipped_registry()} line " in place for place in shipped)
    assert registry.place("plugins", "folder", "enabled") == "default"
    lines = shipped_registry().read_text(encoding="utf-8").splitlines()
    (line,) = re.findall(r" line (\d+)$", places["assets.vgg19.size"][1])
    assert lines[int(line) - 1].startswith("size = ")


# --- models ----------------------------------------------------------------------------------------------

MODEL: dict[str, object] = {
    "fuser": "gan:gan",
    "classes": ["person", "cat"],
    "file": "lion-zebra.safetensors",
    "licence": "Apache-2.0",
    "card": "https://example.org/lion-zebra",
    "summary": "64 pixels",
}


def model_toml(name: str = "lion-zebra", **changes: object) -> str:
    entry = {key: value for key, value in {**MODEL, **changes}.items() if value is not None}
    return f"[models]\n{name} = {as_toml(entry)}\n"


def test_models_are_read(tmp_path: Path) -> None:
    model = read_registry(write(tmp_path, model_toml())).models["lion-zebra"]
    assert (model.kind, model.component, model.classes) == ("fusion-generator", "gan:gan", ("person", "cat"))
    text = model_toml(fuser=None, encoder="cnn", file=None, asset="vgg19")
    model = read_registry(write(tmp_path, text)).models["lion-zebra"]
    assert (model.kind, model.component, model.asset) == ("feature-encoder", "cnn", "vgg19")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "cnn"}, "give either fuser or encoder"),
        ({"fuser": None}, "give either fuser or encoder"),
        ({"file": None}, "give either file or asset"),
        ({"asset": "vgg19"}, "give either file or asset"),
        (
            {"file": None, "asset": "vgg18"},
            "there is no asset 'vgg18' (did you mean 'vgg19'?)",
        ),
        ({"fuser": "package.module:Class"}, "is not a name of a component"),
        ({"fuser": "../gan"}, "is not a name of a component"),
        ({"file": "../x.safetensors"}, "is not a plain file name"),
        ({"file": "/etc/x.safetensors"}, "is not a plain file name"),
        ({"file": "x.pth"}, "is not a plain file name ending in .safetensors"),
        ({"classes": ["cat", "cat"]}, "every class needs a name of its own"),
        ({"classes": "cat"}, "write a list"),
        ({"card": "javascript:x"}, "is not an address"),
        ({"licence": None}, "models.lion-zebra.licence: field required"),
        ({"target": "a.b:C"}, "unknown key"),
        ({"name": "Person Cat"}, "is not a name: use small letters"),
    ],
)
def test_a_hostile_or_mistaken_model_is_refused_when_it_is_read(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    name = as_toml(changes["name"]) if "name" in changes else "lion-zebra"
    rest = {key: value for key, value in changes.items() if key != "name"}
    with pytest.raises(ConfigError) as caught:
        read_registry(write(tmp_path, model_toml(str(name), **rest)))
    assert "mine.toml" in str(caught.value) and message in str(caught.value)
    assert str(caught.value).isprintable()


# --- whatever is in the file -----------------------------------------------------------------------------

names = st.one_of(
    st.sampled_from(
        [
            "plugins",
            "assets",
            "models",
            "fuser",
            "file",
            "timm",
            "vgg19",
            "mine",
            "options",
            *GOOD,
            "urls",
            "sha256",
            "kinds",
        ]
    ),
    st.text(max_size=8),
)
leaves = st.one_of(
    st.sampled_from(list(GOOD.values())),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.booleans(),
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
entries = st.dictionaries(names, trees, max_size=4).map(lambda changes: {**GOOD, **changes})
models = st.dictionaries(names, trees, max_size=4).map(lambda changes: {**MODEL, **changes})
tables = st.fixed_dictionaries(
    {},
    optional={
        "plugins": trees | st.dictionaries(names, st.dictionaries(names, trees, max_size=3), max_size=2),
        "assets": trees | st.dictionaries(names, entries, max_size=2),
        "models": trees | st.dictionaries(names, models, max_size=2),
        "other": trees,
    },
)
SHIPPED = shipped_registry().read_bytes()


def lines_of(table: Mapping[str, object]) -> bytes:
    text = "\n".join(f"{as_toml(key)} = {as_toml(value)}" for key, value in table.items())
    return text.replace("NaN", "nan").replace("Infinity", "inf").encode("utf-8", "surrogatepass")


def spoil(at: int, length: int, new: bytes) -> bytes:
    return SHIPPED[:at] + new + SHIPPED[at + length :]


files = st.one_of(
    tables.map(lines_of),
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(spoil, st.integers(0, len(SHIPPED)), st.integers(0, 40), st.binary(max_size=6)),
)


class Watch:
    """Note what a block does to disk and network. Python's audit hooks cannot be taken off, only silenced."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if self.seen is not None and event.partition(".")[0] in (
            "open",
            "socket",
            "urllib",
            "os",
            "subprocess",
            "import",
        ):
            self.seen.append(f"{event} {args[0] if args else ''}")

    def __enter__(self) -> list[str]:
        gc.disable()  # temporary folders of earlier tests would be cleared away under the watch
        self.seen = []
        return self.seen

    def __exit__(self, *_: object) -> None:
        self.seen = None
        gc.enable()


watch = Watch()


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files)
@example(b"size = " + b"9" * 5000)
@example(b"a = " + b"[" * 5000)
@example(b"a." * 5000 + b"b = 1")
@example(b"[plugins]\n" + b"timm." * 3000 + b"b = 1")
@example(b"plugins = [[1]]")
@example(b"[plugins]\ntimm = 'on'")
@example(b"[assets.vgg19.url]\noptions = {}")
@example(b"[plugins.timm.options.timm]\nname = 1979-05-27")
def test_any_file_is_a_catalogue_or_a_clear_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_bytes(content)
        try:
            with watch as seen:
                registry = read_registry(path)
        except ConfigError as error:
            assert "mine.toml" in str(error)
            assert str(error).isprintable()
        else:
            assert {"folder", "timm", "style"} <= set(registry.plugins)
            assert "vgg19" in registry.assets
        # Whatever it says, nothing but the two registries is opened, and nothing is imported or asked.
        assert set(seen) <= {f"open {path}", f"open {shipped_registry()}"}, seen


def test_the_watch_sees_no_garbage_of_others_cleared_away() -> None:
    thresholds = gc.get_threshold()
    left: list[object] = [tempfile.TemporaryDirectory()]
    left.append(left)
    del left
    try:
        with watch as seen:
            gc.set_threshold(1, 1, 1)
            kept: list[list[object]] = [[] for _ in range(1000)]
    finally:
        gc.set_threshold(*thresholds)
    assert len(kept) == 1000 and seen == []


def test_the_watch_sees_what_would_be_done(tmp_path: Path) -> None:
    import socket

    with watch as seen:
        (tmp_path / "x").write_text("x")
        os.mkdir(tmp_path / "y")
        socket.socket().close()
    assert {line.split()[0] for line in seen} >= {"open", "os.mkdir", "socket.__new__"}


def test_a_registry_may_name_every_kind() -> None:
    assert get_args(KindName) == tuple(KINDS)
