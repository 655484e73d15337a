from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_core.errors import ConfigError
from chimera_core.library.matching import STEPS, SYNONYMS, NameIndex, plain_name, singulars


@pytest.mark.parametrize(
    "text", ["golden_eagle", "Golden Eagle", " golden-eagle ", "GOLDEN__EAGLE", "golden\u00a0eagle"]
)
def test_spellings_of_a_name_are_one(text: str) -> None:
    assert plain_name(text) == "golden_eagle"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("St. Bernard", "st_bernard"),
        ("Przewalski's horse", "przewalskis_horse"),
        ("Bär", "bär"),
        ("747", "747"),
    ],
)
def test_names_of_the_world_are_names(text: str, name: str) -> None:
    assert plain_name(text) == name


HOSTILE = ("../x", "/etc/passwd", "a/b", "a\\b", "..", ".", "a\0b", "~", "C:x", "con", "LPT1", ".git", "*")
NO_NAMES = ("", "  ", "-_-", "x" * 61, "a\u202eb", "cat.jpg")


@pytest.mark.parametrize("text", [*HOSTILE, *NO_NAMES])
def test_what_could_leave_the_folder_is_no_name(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plain_name(text)
    assert len(str(caught.value).splitlines()) == 1


@given(st.text(max_size=80))
def test_a_plain_name_is_one_harmless_part_of_a_path_and_stays_as_it_is(text: str) -> None:
    try:
        name = plain_name(text)
    except ConfigError:
        return
    assert not set(name) & set("/\\.:\0 ") and len(name.encode()) <= 180
    assert plain_name(name) == name


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        *(("horses", "horse"), ("wolves", "wolf"), ("mice", "mouse"), ("geese", "goose"), ("foxes", "fox")),
        *(("butterflies", "butterfly"), ("sea_lions", "sea_lion"), ("oxen", "ox"), ("giraffes", "giraffe")),
    ],
)
def test_plurals_have_their_singular(plural: str, singular: str) -> None:
    assert singular in singulars(plural)


@pytest.mark.parametrize("word", ["walrus", "octopus", "ibis", "albatross"])
def test_singulars_in_s_stay(word: str) -> None:
    assert singulars(word) == {word}


INDEX = NameIndex(["golden_eagle", "bald_eagle", "sea_lion", "rooster", "dogs", "wolf", "tiger_sumatran"])


@pytest.mark.parametrize(
    ("wanted", "step", "found"),
    [
        ("wolf", "exact", ["wolf"]),
        ("sealion", "exact", ["sea_lion"]),
        ("wolves", "plural", ["wolf"]),
        ("dog", "plural", ["dogs"]),
        ("cock", "synonym", ["rooster"]),
        ("eagle", "last word", ["bald_eagle", "golden_eagle"]),
        ("eagles", "last word", ["bald_eagle", "golden_eagle"]),
        ("tiger", "first word", ["tiger_sumatran"]),
        ("tigress", "first word", ["tiger_sumatran"]),
    ],
)
def test_a_name_is_matched_at_its_step_and_at_none_before(wanted: str, step: str, found: list[str]) -> None:
    assert INDEX.find(wanted, step) == found
    assert not any(INDEX.find(wanted, earlier) for earlier in STEPS[: STEPS.index(step)])


def test_what_is_not_there_matches_at_no_step() -> None:
    assert not any(INDEX.find("unicorn", step) for step in STEPS)


def test_synonyms_are_spelled_as_names_are() -> None:
    for name, others in SYNONYMS.items():
        assert all(plain_name(word) == word for word in (name, *others))
        assert name not in others


def test_a_letter_is_no_word_of_another_name():
    index = NameIndex(["grave_a", "ox", "musk_ox"])
    assert index.find("a", "last word") == []
    assert index.find("ox", "exact") == ["ox"]
