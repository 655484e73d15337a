"""Which of several pictures is the best, by a look at them: once each, and never where there is no choice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chimera_core.errors import PluginError
from chimera_core.library import visibility_cache as module
from chimera_core.library.choosing import MOST_LOOKED_AT, pick_picture, rank_pictures
from chimera_core.library.folder import Library
from chimera_core.library.lookup import find_pictures
from chimera_core.library.visibility_cache import VisibilityCache
from chimera_core.plugins.discovery import PluginHost

Picture = Callable[..., Path]
MakeHost = Callable[..., PluginHost]


class Looks:
    """PictureScores from a table by file name, and what was asked."""

    def __init__(self, **worth: float | None) -> None:
        self.worth = worth
        self.asked: list[list[str]] = []

    def __call__(self, pictures: Sequence[Path]) -> list[float | None]:
        self.asked.append([p.stem for p in pictures])
        return [self.worth.get(p.stem, 0.0) for p in pictures]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count looks, each of which finds the score 0.5, in place of the network's."""
    looks: list[str] = []

    def score(self: VisibilityCache, path: Path) -> float:
        looks.append(path.name)
        module.read_picture(path)
        return 0.5

    monkeypatch.setattr(VisibilityCache, "_score", score)
    return looks


def test_visibility_goes_before_size_and_turns_follow_it(picture: Picture) -> None:
    files = [picture(f"{k}.png", size=(200 + 50 * k, 200 + 50 * k)) for k in range(3)]
    looks = Looks(**{"0": 0.3, "1": 0.9, "2": 0.1})
    assert [p.stem for p in rank_pictures(files, visibility=looks)] == ["1", "0", "2"]
    assert [pick_picture(files, turn, visibility=looks).stem for turn in range(4)] == ["1", "0", "2", "1"]


def test_only_the_best_few_by_headers_are_looked_at(picture: Picture) -> None:
    count = MOST_LOOKED_AT + 3
    files = [picture(f"p{k:02d}.png", size=(100 + 10 * k, 100 + 10 * k)) for k in range(count)]
    looks = Looks(p03=1.0, p00=1.0)
    order = [p.stem for p in rank_pictures(files, visibility=looks)]
    # By size the last ones come first; the three smallest are not looked at and stay behind.
    assert looks.asked == [[f"p{k:02d}" for k in range(count - 1, 2, -1)]]
    assert order[0] == "p03"
    assert order[-3:] == ["p02", "p01", "p00"]


def test_a_picture_without_a_score_comes_behind_those_with_one(picture: Picture) -> None:
    files = [picture("large.png", size=(400, 400)), picture("small.png", size=(200, 200))]
    assert [p.stem for p in rank_pictures(files, visibility=Looks(large=None, small=0.01))] == [
        "small",
        "large",
    ]
    # Where nothing could look, headers decide.
    assert [p.stem for p in rank_pictures(files, visibility=Looks(large=None, small=None))] == [
        "large",
        "small",
    ]


def test_a_name_with_one_picture_is_not_looked_at(make_host: MakeHost, root: Path, picture: Picture) -> None:
    for k in range(2):
        Library(root).add("fox", picture("a.png", colour=(90 * k, 0, 0)))
    looks = Looks()
    find_pictures(["horse", "fox", "wolf"], host=make_host(), visibility=looks)
    assert [len(asked) for asked in looks.asked] == [2]
    looks = Looks()
    find_pictures(["horse", "wolf"], host=make_host(), visibility=looks)
    assert looks.asked == []


def test_a_picture_is_looked_at_once_until_it_changes(
    picture: Picture, tmp_path: Path, counted: list[str]
) -> None:
    file = tmp_path / "cache/pictures.json"
    one, two = picture("one.png"), picture("two.png")
    assert VisibilityCache(file)([one, two]) == [0.5, 0.5]
    assert VisibilityCache(file)([two, one]) == [0.5, 0.5]
    assert counted == ["one.png", "two.png"]
    os.utime(two, ns=(1, 1))
    VisibilityCache(file)([one, two])
    assert counted == ["one.png", "two.png", "two.png"]


def test_progress_is_shown_only_where_something_is_new(
    picture: Picture, tmp_path: Path, counted: list[str]
) -> None:
    from contextlib import nullcontext

    reported: list[tuple[float, float]] = []
    visibility = VisibilityCache(
        tmp_path / "m.json", showing=lambda: nullcontext(lambda done, total: reported.append((done, total)))
    )
    pair = [picture("one.png"), picture("two.png")]
    visibility(pair)
    visibility(pair)
    assert reported == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[1, 2]",
        b"[" * 100_000,
        b'{"merits": 3}',
        b'{"by": "an older one", "merits": {}}',
        '{"by": "%", "merits": 3}',
        '{"by": "%", "merits": {"#": "much"}}',
        '{"by": "%", "merits": {"#": true}}',
        '{"by": "%", "merits": {"#": NaN}}',
        '{"by": "%", "merits": {"#": 1' + "0" * 400 + "}}",
    ],
    ids=lambda b: str(b[:40]),
)
def test_a_broken_or_foreign_memory_is_ignored_and_replaced(
    broken: bytes | str, picture: Picture, tmp_path: Path, counted: list[str]
) -> None:
    file, one = tmp_path / "pictures.json", picture("one.png")
    assert VisibilityCache(file)([one]) == [0.5]
    stored = json.loads(file.read_text())
    (key,) = stored["merits"]
    text = (
        broken if isinstance(broken, bytes) else broken.replace("%", stored["by"]).replace("#", key).encode()
    )
    file.write_bytes(text)
    assert VisibilityCache(file)([one]) == [0.5]
    assert len(counted) == 2
    assert json.loads(file.read_text()) == stored


def test_scores_by_other_weights_do_not_serve(
    picture: Picture, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, one = tmp_path / "pictures.json", picture("one.png")
    VisibilityCache(file)([one])
    monkeypatch.setattr(module, "_measure", lambda: "another")
    VisibilityCache(file)([one])
    assert len(counted) == 2


def test_what_another_process_remembered_stays_and_the_oldest_make_room(
    picture: Picture, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pictures.json"
    pictures = [picture(f"{k}.png") for k in range(4)]
    VisibilityCache(file)(pictures[:2])
    VisibilityCache(file)(pictures[2:])
    VisibilityCache(file)(pictures)
    assert len(counted) == 4
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    VisibilityCache(file)([picture("new.png")])
    assert len(json.loads(file.read_text())["merits"]) == 3
    VisibilityCache(file)(pictures[2:])
    assert len(counted) == 5


def test_a_cache_that_cannot_be_written_costs_a_line_not_the_choice(
    picture: Picture, tmp_path: Path, counted: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert VisibilityCache(tmp_path / "file/pictures.json")([picture("one.png")]) == [0.5]
    assert caplog.text.count("is not remembered") == 1


def test_a_broken_picture_has_no_score_and_is_tried_again(
    picture: Picture, tmp_path: Path, counted: list[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    file = tmp_path / "pictures.json"
    assert VisibilityCache(file)([bad, picture("one.png")]) == [None, 0.5]
    assert VisibilityCache(file)([bad, picture("one.png")]) == [None, 0.5]
    assert counted.count("bad.png") == 2


def test_without_the_encoder_headers_decide_with_one_line(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> Any:
        raise PluginError("timm is switched off: switch it on")

    monkeypatch.setattr(module, "_load_encoder", refuse)
    small, large = picture("a.png", size=(200, 200)), picture("b.png", size=(300, 300))
    file = tmp_path / "pictures.json"
    assert rank_pictures([small, large], visibility=VisibilityCache(file)) == [large, small]
    assert caplog.text.count("timm is switched off") == 1
    assert not file.exists()


@pytest.mark.slow
def test_a_cat_with_its_face_is_taken_before_its_fur_enlarged(tmp_path: Path) -> None:
    from PIL import Image
    from skimage import data

    cat = Image.fromarray(data.chelsea())
    library = Library(tmp_path / "library")
    source = tmp_path / "cat.png"
    cat.save(source)
    face = library.add("cat", source)
    cat.crop((340, 150, 451, 300)).resize((555, 750)).save(source)
    fur = library.add("cat", source)
    before = sorted(p.name for p in library.root.rglob("*"))
    both = library.pictures()["cat"]
    assert rank_pictures(both) == [fur, face]
    visibility = VisibilityCache(tmp_path / "cache/pictures.json")
    assert rank_pictures(both, visibility=visibility) == [face, fur]
    # Nothing is written beside the pictures.
    assert sorted(p.name for p in library.root.rglob("*")) == before
    assert (tmp_path / "cache/pictures.json").is_file()
