"""What each place of a picture has of the parents, and what follows for whole and halved organs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.records import Level
from chimera_core.scoring.figures.figures import beyond, integrity_of, unity_of
from chimera_core.scoring.figures.places import Places
from chimera_core.scoring.judge.judge import Judge

EVEN = (0.5, 0.5)
SIDE, CELL = 64, 16
RED, BLUE, GREY, BLACK = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0)


class Cells(FeatureEncoder):
    """Gives the mean colour of every 16 x 16 pixels as its map of that stride."""

    levels: Sequence[Level] = (Level("pixels", 3, 1), Level("cells", 3, CELL))

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        assert list(levels) == [1]
        return [torch.nn.functional.avg_pool2d(x, CELL)]


class Blind(Cells):
    levels = ()


JUDGE = Judge("cells", Cells(), side=SIDE)


def picture(*rows: Sequence[tuple[float, float, float]]) -> Tensor:
    """Draw four by four cells of one colour each, (3, 64, 64)."""
    cells = torch.tensor(rows).permute(2, 0, 1)
    return cells.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)


FIRST = picture(*[[RED] * 3 + [GREY]] * 4)
SECOND = picture(*[[GREY] + [BLUE] * 3] * 4)


@pytest.fixture(scope="module")
def places() -> Places:
    found = Places.fit(JUDGE, torch.stack([FIRST, SECOND])[None])
    assert found is not None
    return found


def test_a_place_is_found_again_wherever_it_stands(places: Places) -> None:
    moved = FIRST.flip(2).roll(CELL, 1)
    (found,) = places.of(JUDGE, moved[None])
    assert found.shape == (16, 2)
    torch.testing.assert_close(found[:, 0], torch.ones(16))
    assert integrity_of(found, EVEN) == pytest.approx(1)


def test_one_s_head_on_the_other_s_body_is_whole_and_a_mixture_is_not(places: Places) -> None:
    joined = FIRST.clone()
    joined[:, :CELL] = SECOND[:, :CELL]
    whole, mixed = places.of(JUDGE, torch.stack([joined, (FIRST + SECOND) / 2]))
    assert integrity_of(whole, EVEN) == pytest.approx(1, abs=1e-5)
    assert integrity_of(mixed, EVEN) < 0.6
    third = picture(*[[BLACK] * 4] * 4)
    assert integrity_of(places.of(JUDGE, third[None])[0], EVEN) < 0.1


def test_a_collage_has_no_unity_and_copy_and_mixture_have(places: Places) -> None:
    half = SIDE // 2
    collage = torch.cat([FIRST[..., :half], SECOND[..., half:]], 2)
    shown = places.of(JUDGE, torch.stack([FIRST, collage]))
    copied, pasted = (unity_of(beyond(p, EVEN), EVEN) for p in shown)
    assert copied == pytest.approx(1) and pasted < 0.3
    both = torch.full((16, 2), 0.5)
    assert unity_of(beyond(both, EVEN), EVEN) == 1


def test_what_all_pictures_have_tells_no_parent_from_another() -> None:
    seen = torch.tensor([[0.9, 0.9, 0.2], [0.8, 0.5, 1.0]])
    torch.testing.assert_close(beyond(seen, (0.5, 0.5, 0)), torch.tensor([[0.0, 0, 0], [0.3, 0, 0]]))
    torch.testing.assert_close(beyond(seen, (0.4, 0.3, 0.3)), torch.tensor([[0.0, 0, 0], [0, 0, 0.2]]))


def test_places_of_both_parents_count_once() -> None:
    seen = torch.tensor([[0.9, 0.9, 0.2], [0.3, 0.2, 1.0]])
    assert integrity_of(seen, (0.5, 0.5, 0)) == pytest.approx((1 + 0.5) / 2)


def test_parents_that_cannot_be_told_apart_give_numbers(places: Places) -> None:
    same = Places.fit(JUDGE, torch.stack([FIRST, FIRST])[None])
    assert same is not None
    found = same.of(JUDGE, torch.stack([FIRST, SECOND]))
    assert bool(torch.isfinite(found).all()) and 0 <= float(found.min()) <= float(found.max()) <= 1


def test_a_judge_without_levels_has_no_places() -> None:
    assert Places.fit(Judge("blind", Blind(), side=SIDE), torch.stack([FIRST, SECOND])[None]) is None
