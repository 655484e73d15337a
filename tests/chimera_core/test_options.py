from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_core.errors import ConfigError
from chimera_core.options import Config, EncoderRef, build_config, flags_of, merge, option, suggest


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


def flags(values: dict[str, Any] | None = None) -> dict[str, Any]:
    found = flags_of(Outer, values=values or {}, config_of=lambda kind, name: {"inner": Inner}[name])
    return {flag.name: flag for flag in found}


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
    assert by_name["--encoder.model"].value == "small"
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
