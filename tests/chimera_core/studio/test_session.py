"""What a tab holds: other animals begin anew, hints stay apart, and a page that is loaded anew finds it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chimera_core.studio.asks import DEFAULT_SIZE
from chimera_core.studio.creature import Creature
from chimera_core.studio.page_return import NEW, find_session
from chimera_core.studio.parents import Slot
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio

LLAMA, TIGER, CAT = (Slot(f"/p/{name}.jpg", f"{name}.jpg", True) for name in ("llama", "tiger", "cat"))


class Rooms:
    """A studio without a worker: its memory of tabs alone."""

    def __init__(self) -> None:
        self.kept: dict[str, Session] = {}

    def remember(self, token: str, session: Session) -> None:
        self.kept[token] = session

    def remembered(self, token: str) -> Session | None:
        return self.kept.get(token)


def made() -> Session:
    held = Session(parents=[LLAMA, TIGER, None], seed=2, shares=[70.0, 30.0, 30.0], moving="x.gif")
    held.shown = Creature(held.ask(), "x.png", "parts", (8, 8), parents=tuple(held.parents))
    held.listed, held.captions = [held.shown], ["first choice"]
    return held


def test_other_animals_begin_with_the_first_choice_and_equal_weights() -> None:
    held = made()
    assert held.is_of_these
    held.put(1, CAT)
    held.begin_anew()
    assert (held.seed, held.ask().weights, held.listed, held.moving) == (0, (0.5, 0.5), [], "")
    assert not held.is_of_these


@pytest.mark.parametrize("by_hand", ["", "portrait"])
def test_a_method_taken_from_compare_does_not_go_on_with_other_animals(by_hand: str) -> None:
    held = made()
    held.fuser = held.by_hand = by_hand
    assert not held.forget_method() and held.fuser == by_hand
    assert held.shown
    held.restore(replace(held.shown, ask=replace(held.shown.ask, fuser="style-transfer", preset="slow")))
    held.options[("coat",)] = "gram"
    assert held.fuser == "style-transfer"
    assert held.forget_method()
    assert (held.fuser, held.preset, held.options, held.size) == (by_hand, "", {}, DEFAULT_SIZE)


def test_a_method_that_a_zip_brings_goes_on_with_other_animals() -> None:
    held = made()
    held.take_over(Session(parents=[LLAMA, CAT, None], fuser="portrait"))
    assert not held.forget_method() and held.fuser == "portrait"


def test_a_parent_that_cannot_be_read_leaves_all_as_it_was() -> None:
    held = made()
    held.hint("head_box", 1, "0,0,0.5,0.5")
    ask, listed = held.ask(), held.listed
    before = held.standing()
    held.put(1, CAT)
    held.begin_anew()
    held.stand(before, 1)
    assert (held.ask(), held.listed, held.moving) == (ask, listed, "x.gif") and held.is_of_these


def test_a_head_that_is_set_leaves_the_neck_that_was_set() -> None:
    held = Session(parents=[LLAMA, TIGER, None])
    held.hint("neck", 1, "0.1,0.1,0.2,0.2")
    held.hint("head_box", 1, "0,0,0.5,0.5")
    held.hint("head_box", 0, "0,0,0.4,0.4")
    assert held.options == {
        ("neck",): ["auto", "0.1,0.1,0.2,0.2"],
        ("head_box",): ["0,0,0.4,0.4", "0,0,0.5,0.5"],
    }
    held.put(1, CAT)
    assert held.options[("neck",)] == ["auto", "auto"] and held.options[("head_box",)][0] == "0,0,0.4,0.4"


def test_a_tab_that_is_loaded_anew_finds_what_it_held() -> None:
    rooms, held = Rooms(), made()
    name = "0a" * 16
    assert find_session(rooms, NEW + name, held) == (held, "new")  # type: ignore[arg-type]
    assert find_session(rooms, name, Session())[0] is held  # type: ignore[arg-type]
    assert find_session(rooms, name, Session())[1] == "back"  # type: ignore[arg-type]


def test_a_tab_whose_studio_was_started_anew_is_told_that_all_is_gone() -> None:
    rooms, fresh = Rooms(), Session()
    assert find_session(rooms, "0b" * 16, fresh) == (fresh, "gone")  # type: ignore[arg-type]
    for strange in ("", "../x", "0b" * 17):
        assert find_session(rooms, strange, fresh) == (fresh, "new")  # type: ignore[arg-type]
    assert list(rooms.kept) == ["0b" * 16]


def test_the_time_that_a_size_takes_is_scaled_from_the_nearest_that_was_drawn() -> None:
    studio = Studio.__new__(Studio)
    studio._took_s = {("", 256): 2.0, ("", 512): 5.0, ("parts", 256): 9.0, ("old", None): 1.0}
    assert studio.expected_s("", 512) == (5.0, True)
    assert studio.expected_s("", 1024) == (20.0, False)
    assert studio.expected_s("style-transfer", 512) is None and studio.expected_s("old", 512) is None
