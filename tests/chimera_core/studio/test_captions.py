"""What the page says of animals comes from what the fuser said that it did."""

from __future__ import annotations

from typing import Any

import pytest

from chimera_core.studio.asks import Ask
from chimera_core.studio.captions import gives, in_short, made_by, reason_of, titles
from chimera_core.studio.creature import Creature
from chimera_core.studio.parents import Slot

FACES = "the faces of astronaut and cat, for the picture of cat cuts its head off above"
PARTS = "the body of llama, the head of tiger, the coat of zebra"


def creature(weights: tuple[float, ...], remarks: tuple[str, ...], seed: int = 0) -> Creature:
    names = ("llama", "tiger", "zebra")[: len(weights)]
    slots = tuple(Slot(f"/p/{name}.jpg", f"{name}.jpg", True) for name in names)
    ask = Ask(tuple(slot.word for slot in slots), weights, seed=seed)
    return Creature(ask, "x.png", "parts:auto", (8, 8), remarks, parents=slots, names=names)


@pytest.mark.parametrize(
    ("reason", "names", "given"),
    [
        (PARTS, ["llama", "tiger", "zebra"], ["body", "head", "coat"]),
        (FACES, ["astronaut", "cat"], ["face", "face"]),
        ("the body of cat, the head of cat", ["cat", "cat"], ["body", "head"]),
        ("the body of the head of state, the head of bee", ["the head of state", "bee"], ["", "head"]),
        ("the body of cat, the head of bobcat", ["bobcat", "cat"], ["head", "body"]),
        ("no head was found in tiger", ["llama", "tiger"], ["", ""]),
        ("", ["a", "b"], ["", ""]),
    ],
)
def test_what_each_animal_gives_is_read_from_the_fusers_words(
    reason: str, names: list[str], given: list[str]
) -> None:
    assert gives(reason, names) == given


def test_places_are_named_after_what_is_made_and_neutral_where_that_is_not_known() -> None:
    assert titles(FACES, ["astronaut", "cat"]) == [
        "First animal: gives the face",
        "Second animal: gives the face",
        "Third animal",
    ]
    assert titles("", ["llama"]) == ["First animal", "Second animal", "Third animal"]
    summary = "the body of the first photograph with the head of the second, and the coat of a third"
    assert titles("", ["a", "b"], summary) == [
        "First animal: gives the body",
        "Second animal: gives the head",
        "Third animal: gives its coat",
    ]


def test_a_creature_says_once_what_was_taken_of_each_animal() -> None:
    told = made_by(creature((0.4, 0.3, 0.3), (f"fuser: parts ({PARTS})", "zebra: far away")))
    assert told == f"Made by parts: {PARTS} · Zebra: far away"


def test_an_animal_of_no_weight_is_not_said_to_give_anything() -> None:
    told = made_by(creature((0.5, 0.0, 0.5), (f"fuser: parts ({PARTS})",)))
    assert "the head of tiger" not in told and "Nothing of tiger is in it" in told
    assert "the coat of zebra" in told


@pytest.mark.parametrize(
    ("weights", "head"),
    [
        ((0.9, 0.1), "a little of the head of tiger"),
        ((0.7, 0.3), "a part of the head of tiger"),
        ((0.5, 0.5), "the head of tiger"),
        ((0.1, 0.9), "the head of tiger"),
        ((0.9, 0.05, 0.05), "a little of the head of tiger"),
        ((0.34, 0.33, 0.33), "the head of tiger"),
    ],
)
def test_as_much_is_said_of_an_animal_as_its_weight_shows(weights: tuple[float, ...], head: str) -> None:
    told = made_by(creature(weights, (f"fuser: parts ({PARTS})",)))
    assert told.startswith(f"Made by parts: the body of llama, {head}, ")


def test_a_fuser_that_says_nothing_is_named_with_its_summary() -> None:
    assert made_by(creature((0.5, 0.5), ()), "averages") == "Made by parts:auto: averages"
    assert reason_of(["tiger: a picture", "fuser: tint (a toy (of ours))"]) == "a toy (of ours)"


def test_creatures_are_told_apart_by_animals_weights_and_alternative() -> None:
    assert in_short(creature((0.7, 0.3), (), seed=2)) == "llama + tiger, 70 : 30, alternative 3"
    assert in_short(creature((0.7, 0.3), ())) == "llama + tiger, 70 : 30"


def test_pictures_are_alike_by_their_pixels_alone(tmp_path: Any) -> None:
    from dataclasses import replace

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add_text("chimera.options", "{}")
    Image.new("RGBA", (4, 4), (9, 9, 9, 255)).save(tmp_path / "a.png")
    Image.new("RGBA", (4, 4), (9, 9, 9, 255)).save(tmp_path / "b.png", pnginfo=note)
    Image.new("RGBA", (4, 4), (9, 9, 9, 254)).save(tmp_path / "c.png")
    a, b, c = (replace(creature((0.5, 0.5), ()), file=str(tmp_path / f"{k}.png")) for k in "abc")
    assert a.looks_like(b) and not a.looks_like(c)
