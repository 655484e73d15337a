from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import without_places
from chimera_core.options.config import (
    Config,
    Duration,
    EncoderRef,
    SourceRef,
    option,
    parse_share_box,
    read_duration,
    read_fraction,
    suggest,
)
from chimera_core.options.flags import Flag, check_flags, flags_of
from chimera_core.options.layers import Layer, build_config, check_layer, merge


class Inner(Config):
    model: str = option("small", help="which model")
    depth: int = option(3, help="how deep", ge=1, le=9)


class Outer(Config):
    steps: int = option(100, help="how many steps", gt=0)
    rate: float = option(0.5, help="how fast", ge=0, lt=1)
    mode: Literal["fast", "fine"] = option("fast", help="how careful")
    keep_colour: bool = option(False, help="whether colours stay")
    mask_file: Path | None = option(None, help="a mask")
    levels: tuple[int, ...] = option((0, 1), help="which levels")
    encoder: EncoderRef = option(EncoderRef(name="inner"), help="which encoder")


def flags(*values: dict[str, Any], config: type[Config] = Outer) -> dict[str, Flag]:
    layers = [Layer(f"layer {k}", v) for k, v in enumerate(values)]
    known = {"inner": (Inner, [Layer("registry", {"model": "big"})]), "other": (Other, [])}
    return {
        flag.name: flag for flag in flags_of(config, layers=layers, look_up=lambda kind, name: known[name])
    }


class Other(Config):
    width: int = option(4, help="how wide")


def test_every_field_becomes_a_typed_flag_with_its_bounds() -> None:
    by_name = flags()
    assert by_name["--steps"].type is int
    assert (by_name["--steps"].minimum, by_name["--steps"].open_minimum) == (0, True)
    assert (by_name["--rate"].minimum, by_name["--rate"].maximum, by_name["--rate"].open_maximum) == (
        0,
        1,
        True,
    )
    assert by_name["--mode"].choices == ("fast", "fine")
    assert by_name["--keep-colour"].type is bool
    assert by_name["--mask-file"].type is str
    assert by_name["--levels"].multiple
    assert by_name["--levels"].type is int


def test_options_of_a_named_component_appear_dotted_with_the_value_in_force() -> None:
    by_name = flags({"encoder": {"options": {"depth": 7}}})
    assert by_name["--encoder.depth"].value == 7
    assert by_name["--encoder.model"].value == "big"  # what the registry presets for the named one counts
    assert by_name["--encoder.depth"].path == ("encoder", "options", "depth")


def test_later_layers_win_key_by_key() -> None:
    merged = merge({"a": 1, "b": {"x": 1, "y": 2}}, {"b": {"y": 3}}, {"a": 4})
    assert merged == {"a": 4, "b": {"x": 1, "y": 3}}


def test_naming_another_component_drops_the_options_of_the_first() -> None:
    below = {"encoder": {"name": "timm", "options": {"model": "vgg19"}}}
    assert merge(below, {"encoder": "cnn"})["encoder"] == {"name": "cnn"}
    assert merge(below, {"encoder": {"name": "timm"}})["encoder"]["options"] == {"model": "vgg19"}


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers()),
    st.dictionaries(st.sampled_from("abc"), st.integers()),
)
def test_merging_flat_layers_is_dictionary_union(first: dict[str, int], second: dict[str, int]) -> None:
    assert merge(first, second) == first | second
    assert merge(first, {}) == first


def test_values_from_a_command_line_are_converted() -> None:
    config = build_config(Outer, {"steps": "7", "levels": ["2", "3"]}, where="fuser x")
    assert (config.steps, config.levels) == (7, (2, 3))


def test_a_reference_keeps_its_default_name_when_only_options_are_given() -> None:
    config = build_config(Outer, {"encoder": {"options": {"depth": 2}}}, where="fuser x")
    assert (config.encoder.name, config.encoder.options) == ("inner", {"depth": 2})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepz": 3}, "fuser x has no option 'stepz' (did you mean 'steps'?)"),
        ({"steps": 0}, "option 'steps' of fuser x: input should be greater than 0, but it is 0"),
        ({"mode": "rough"}, "option 'mode' of fuser x: input should be 'fast' or 'fine', but it is 'rough'"),
        ({"rate": "much"}, "option 'rate' of fuser x"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config(Outer, values, where="fuser x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_suggest_names_the_nearest_or_all() -> None:
    assert suggest("stile", ["style", "gan"]) == " (did you mean 'style'?)"
    assert suggest("qqqq", ["style", "gan"]) == " (known: gan, style)"


def test_every_flag_says_where_its_value_comes_from() -> None:
    by_name = flags({"steps": 7, "encoder": {"options": {"depth": 7}}}, {"steps": 8})
    origins = {
        name: by_name[name].origin for name in ("--steps", "--rate", "--encoder.depth", "--encoder.model")
    }
    assert origins == {
        "--steps": "layer 1",
        "--rate": "default",
        "--encoder.depth": "layer 0",
        "--encoder.model": "registry",
    }


def test_options_for_one_component_never_reach_another() -> None:
    below = {"encoder": {"options": {"depth": 7}}}
    by_name = flags(below, {"encoder": "other"})
    assert (by_name["--encoder"].value.name, by_name["--encoder"].origin) == ("other", "layer 1")
    assert "--encoder.depth" not in by_name and by_name["--encoder.width"].value == 4
    assert flags(below, {"encoder": "inner"})["--encoder.depth"].value == 7


# --- fractions and durations ------------------------------------------------------------------------------


class Budget(Config):
    eps: float = option(8 / 255, help="how far", gt=0, le=1)
    scales: tuple[float, ...] = option((1.0,), help="sizes")
    longest: Duration = option(600.0, help="how long", gt=0, le=86400)
    pause: Duration | None = option(None, help="rest")


def test_a_float_may_be_a_fraction_and_a_time_a_duration() -> None:
    values = {"eps": "4/255", "scales": ["1/2", 3], "longest": "1h30m", "pause": "90s"}
    config = build_config(Budget, values, where="x")
    assert config == Budget(eps=4 / 255, scales=(0.5, 3.0), longest=5400, pause=90)
    by_name = flags(config=Budget)
    assert {n: (f.form, f.type) for n, f in by_name.items()} == {
        "--eps": ("plain", float),
        "--scales": ("plain", float),
        "--longest": ("duration", float),
        "--pause": ("duration", float),
    }
    assert by_name["--longest"].maximum == 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("1d", 86400), ("7", 7), (" 2M ", 120)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"eps": "1/0"}, "valid number"),
        ({"eps": "8/"}, "valid number"),
        ({"eps": "300/255"}, "less than or equal to 1"),
        ({"longest": "10x"}, "write a duration as 90s, 10m, 2h"),
        ({"longest": "m10"}, "write a duration"),
        ({"longest": "2d"}, "less than or equal to 86400"),
        ({"pause": ""}, "write a duration"),
    ],
)
def test_a_wrong_fraction_or_duration_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_config(Budget, values, where="x")


@given(st.integers(-999, 999), st.integers(1, 999))
def test_a_fraction_is_its_quotient(above: int, below: int) -> None:
    assert read_fraction(f"{above}/{below}") == above / below


def test_a_box_is_four_shares_of_a_picture() -> None:
    assert parse_share_box(".2,.1,.8,.6") == (0.2, 0.1, 0.8, 0.6)


@pytest.mark.parametrize("text", ["1,2", "a,b,c,d", "0.5,0,0.4,1", "0,0,1,1.5", "-0.1,0,1,1", "nan,0,1,1"])
def test_a_wrong_box_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="box"):
        parse_share_box(text)


# --- options in options -----------------------------------------------------------------------------------


class Change(Config):
    name: str = option("flip", help="what is done")
    strength: float = option(0.5, help="how much", ge=0, le=1)
    encoder: EncoderRef | None = option(None, help="who looks")


class Member(Config):
    """One member of a mixture, in one word: ``person=celeba,root=DIR``."""

    label: str = option(..., help="its class")
    source: SourceRef = option(..., help="where its images come from")

    @classmethod
    def from_word(cls, word: str) -> dict[str, Any]:
        head, *pairs = word.split(",")
        label, equals, source = head.partition("=")
        if not equals:
            raise ValueError("write a member as CLASS=SOURCE,OPTION=VALUE")
        return {"label": label, "source": {"name": source, "options": dict(p.split("=", 1) for p in pairs)}}


class Mixture(Config):
    change: Change = option(Change(strength=0.25), help="what is done to images")
    members: tuple[Member, ...] = option((), help="what is mixed", flag="member")
    steps_of_change: tuple[Change, ...] = option((), help="in TOML only")


def test_nested_options_appear_dotted_and_keep_the_default_around_them() -> None:
    by_name = flags({"change": {"name": "turn"}}, config=Mixture)
    assert {n: (f.value, f.origin) for n, f in by_name.items() if f.form == "plain"} == {
        "--change.name": ("turn", "layer 0"),
        "--change.strength": (0.25, "default"),
    }
    assert by_name["--change.strength"].path == ("change", "strength")
    assert (by_name["--change.strength"].minimum, by_name["--change.strength"].maximum) == (0, 1)
    config = build_config(
        Mixture, merge({"change": {"name": "turn"}}, {"change": {"strength": "1/8"}}), where="x"
    )
    assert (config.change.name, config.change.strength) == ("turn", 0.125)
    assert build_config(Mixture, {"change": {"name": "turn"}}, where="x").change.strength == 0.25


def test_a_nested_option_may_name_a_component() -> None:
    by_name = flags({"change": {"encoder": "inner"}}, config=Mixture)
    assert by_name["--change.encoder.depth"].path == ("change", "encoder", "options", "depth")
    assert "--change.encoder.depth" not in flags(config=Mixture)


def test_a_tuple_of_tables_is_a_flag_only_where_a_table_fits_into_a_word() -> None:
    by_name = flags(config=Mixture)
    assert by_name["--member"].form == "table" and by_name["--member"].multiple
    assert by_name["--member"].path == ("members",)
    assert not any("steps-of-change" in name for name in by_name)

    words = {"members": ["person=celeba,root=here", "dog=folder"]}
    tables = {
        "members": [
            {"label": "person", "source": {"name": "celeba", "options": {"root": "here"}}},
            {"label": "dog", "source": "folder"},
        ]
    }
    config = build_config(Mixture, words, where="x")
    assert config == build_config(Mixture, tables, where="x")
    assert config.members[0].source == SourceRef(name="celeba", options={"root": "here"})
    assert build_config(Mixture, config.model_dump(), where="x") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"members": ["person"]}, "write a member as CLASS=SOURCE"),
        ({"members": [{"label": "a"}]}, "needs the option 'member[0].source'"),
        ({"members": [{"label": "a", "sauce": "b"}]}, "source x"),
        ({"change": {"strenth": 1}}, "has no option 'change.strenth' (did you mean 'change.strength'?)"),
        ({"change": {"strength": 2}}, "option 'change.strength' of source x: input should be less than"),
        ({"change": "turn"}, "write a table of options, not a word"),
        ({"change": 3}, "option 'change' of source x"),
    ],
)
def test_a_mistake_in_nested_options_names_the_way_to_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config(Mixture, values, where="source x")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_nested_table_with_a_name_is_merged_key_by_key_all_the_same() -> None:
    assert merge({"change": {"name": "a", "strength": 1}}, {"change": {"name": "b"}}) == {
        "change": {"name": "b", "strength": 1}
    }


def test_a_layer_is_checked_for_what_it_says_not_for_what_it_leaves_out() -> None:
    check_layer(Member, Layer("file", {"label": "a"}), where="x")
    lines = {("change", "strength"): 4}
    layer = Layer("config file a.toml", {"change": {"strength": "much"}}, lines.get)
    with pytest.raises(
        ConfigError, match=r"^config file a\.toml line 4: option 'change\.strength' of x: .*'much'$"
    ):
        check_layer(Mixture, layer, where="x")


class Endless(Config):
    inner: Endless | None = option(None, help="itself")


class Opaque(Config):
    change: Change = option(Change(), help="fine")
    table: dict[str, int] = option({}, help="not fine")


class Around(Config):
    inside: Opaque = option(Opaque(), help="not fine inside")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Endless, "Endless holds itself"),
        (Opaque, "'table' is of type dict"),
        (Around, "'table' is of type"),
        (dict, "not a pydantic"),
    ],
)
def test_options_that_neither_flag_nor_table_can_show_are_refused(config: Any, words: str) -> None:
    check_flags(Mixture)
    check_flags(Outer)
    with pytest.raises(ConfigError, match=words):
        check_flags(config)


class Twin(Config):
    seed: int = option(7, help="of its own")
    depth: int = option(1, help="how deep")
    size: Literal[1, 2] = option(1, help="a number out of two")
    wait: Duration = option(60.0, help="how long", le=3600)
    eps: float = option(0.5, help="how far", le=1)
    mix: Mixture = option(Mixture(), help="what is mixed")


def run_twin(*args: str) -> tuple[int, dict[str, Any], str]:
    """Run a command whose component shares names with it: (seed of the command, the component's options, output)."""
    import click
    from click.testing import CliRunner

    from chimera_core.cli.parsing import command as parsing
    from chimera_core.plugins.discovery import Component, PluginHost, PluginRecord
    from chimera_core.plugins.registry import Registry
    from chimera_core.plugins.settings import Settings
    from chimera_core.records import ComponentSpec

    component = Component("fusion-generator", "twin", ComponentSpec("twin", "", "a:B", Twin))
    record = PluginRecord("twin", "", "", "ok", components=(component,))
    host = PluginHost((record,), Registry(), Settings({}))
    seen: dict[str, Any] = {}

    selector = parsing.Selector("fuser", "fusion-generator", "--fuser", default="twin")

    @click.command(cls=parsing.ComponentCommand, selectors=[selector])
    @click.option("--fuser")
    @click.option("--size", type=int, default=256)
    @click.option("--seed", type=int, default=0)
    @click.pass_context
    def command(ctx: click.Context, fuser: str | None, size: int, seed: int) -> None:
        seen.update(seed=seed, values=parsing.component_values(ctx, "fuser"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "plugin_host", lambda ctx: host)
        done = CliRunner().invoke(command, list(args))
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return seen.get("seed", -1), seen.get("values", {}), done.output


def test_an_option_that_command_and_component_share_is_told_apart_by_its_prefix() -> None:
    seed, values, _ = run_twin("--seed", "3", "--fuser.seed", "4", "--depth", "5", "--fuser.size", "2")
    assert (seed, values) == (3, {"seed": 4, "depth": 5, "size": 2})
    shown = run_twin("--help")[2]
    assert "--fuser.seed INTEGER" in shown and "--fuser.size [1|2]" in shown and "--depth INTEGER" in shown


def test_flags_read_fractions_durations_nested_options_and_words_for_tables() -> None:
    words = ("--mix.member", "person=celeba,root=here", "--mix.member", "dog=folder")
    _, values, _ = run_twin("--eps", "8/255", "--wait", "10m", "--mix.change.strength", "1/4", *words)
    config = build_config(Twin, values, where="x")
    assert (config.eps, config.wait, config.mix.change.strength) == (8 / 255, 600, 0.25)
    assert [m.label for m in config.mix.members] == ["person", "dog"]
    for args, message in (
        (("--eps", "300/255"), "x<=1"),
        (("--eps", "8/0"), "not a valid float"),
        (("--wait", "10x"), "write a duration as 90s, 10m, 2h"),
        (("--mix.change.strength", "2"), "0<=x<=1"),
    ):
        assert message in run_twin(*args)[2], args


def test_an_option_whose_type_is_path_is_written_in_full_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Places(Config):
        where: Path = option(Path(), help="x")
        several: tuple[Path, ...] = option((), help="x")
        label: str = option("a/b", help="x")

    monkeypatch.chdir(tmp_path)
    written = Places(where=Path("data"), several=(Path("a"), tmp_path / "b")).model_dump(mode="json")
    assert written == {
        "where": str(tmp_path / "data"),
        "several": [str(tmp_path / "a"), str(tmp_path / "b")],
        "label": "a/b",
    }
    # Left at its default it is no place, and what is used in this process stays as it was given.
    assert Places().model_dump(mode="json")["where"] == "."
    assert Places(where=Path("data")).where == Path("data")
    assert without_places(written) == {"several": [], "label": "a/b"}
