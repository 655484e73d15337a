"""From names to pictures: which place, which picture, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core.errors import ConfigError, DataError
from chimera_core.images import read_picture
from chimera_core.library.folder import Library
from chimera_core.library.lookup import Names, find_pictures
from chimera_core.library.records import record_file
from chimera_core.plugins.discovery import PluginHost

Picture = Callable[..., Path]
MakeHost = Callable[..., PluginHost]


@pytest.fixture
def host(make_host: MakeHost) -> PluginHost:
    return make_host()


def test_the_library_goes_before_collections(host: PluginHost, root: Path, picture: Picture) -> None:
    assert find_pictures(["horse"], host=host)[0].collection == "tuxpaint"
    mine = Library(root).add("horse", picture("a.png"))
    (found,) = find_pictures(["horse"], host=host)
    assert (found.file, found.collection) == (mine, "library")


def test_an_exact_name_anywhere_goes_before_a_looser_one_in_the_library(
    host: PluginHost, root: Path, picture: Picture
) -> None:
    Library(root).add("sea_horse", picture("a.png"))
    assert find_pictures(["horse"], host=host)[0].collection == "tuxpaint"


def test_stamps_have_names_from_their_files_and_terms_from_the_registry(
    host: PluginHost, stamps: Path
) -> None:
    (found,) = find_pictures(["Roosters"], host=host)
    assert (found.name, found.found) == ("Roosters", "rooster")
    assert found.file == stamps / "animals/birds/rooster.png"
    assert found.record.licence == "GPL-2.0-or-later"
    assert found.record.attribution == "Tux Paint stamps: A colorful rooster."
    assert str(found) == "Roosters: rooster, rooster.png of Tux Paint (GPL-2.0-or-later)"


def test_of_stamps_photographs_go_before_drawings_and_animals_before_their_neighbours(
    host: PluginHost, stamps: Path
) -> None:
    names = {name: list(files) for place, name, files in Names(host) if place.key == "tuxpaint"}
    assert names["horse"] == [stamps / "animals/mammals/horse.png"]
    assert names["lion"] == [stamps / f"animals/mammals/cats/{file}.png" for file in ("lion-2", "lion")]
    assert names["penguin"] == [stamps / "animals/birds/cartoon/penguin.png"]
    assert "bunny_egg" in names
    # SVG is not read, mirrored twins add nothing, and no other part was asked for.
    assert not {"swallow", "horse_mirror", "star"} & set(names)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("wolves", "wolf"),
        ("cock", "rooster"),
        ("pony", "horse"),
        ("heron", "heron_greatblue"),
        ("rhino", "rhino_black"),
    ],
)
def test_plurals_synonyms_and_words_are_forgiven(host: PluginHost, name: str, found: str) -> None:
    assert find_pictures([name], host=host)[0].found == found


def test_eagle_finds_the_eagles_and_says_which(host: PluginHost, root: Path, picture: Picture) -> None:
    golden = Library(root).add("golden_eagle", picture("a.png"))
    bald = Library(root).add("bald_eagle", picture("b.png"))
    seen = [find_pictures(["eagle"], host=host, seed=seed)[0] for seed in (0, 1)]
    assert {p.file for p in seen} == {golden, bald}
    assert (
        str(seen[0])
        == f"eagle: bald_eagle, {bald.name} of the library (licence not noted); also golden_eagle"
    )


def test_every_install_has_a_cat_and_an_astronaut(host: PluginHost) -> None:
    astronaut, cat = find_pictures(["person", "cat"], host=host)
    assert (astronaut.file.name, astronaut.record.licence) == ("astronaut.png", "public domain")
    assert (cat.file.name, cat.record.licence) == ("chelsea.png", "CC0-1.0")
    assert "NASA" in astronaut.record.attribution and cat.record.source.startswith("https://")


def test_the_cat_of_every_install_brings_an_outline(host: PluginHost) -> None:
    astronaut, cat = find_pictures(["astronaut", "cat"], host=host)
    assert astronaut.mask is None
    assert cat.mask is not None and read_picture(cat.mask).rgb.shape == read_picture(cat.file).rgb.shape


def test_seeds_bring_all_combinations_of_pictures_and_repeat(
    host: PluginHost, root: Path, picture: Picture
) -> None:
    for k in range(3):
        Library(root).add("fox", picture("a.png", colour=(60 * k, 0, 0)))
        Library(root).add("hen", picture("a.png", colour=(60 * k, 0, 99)))
    pairs = [tuple(p.file for p in find_pictures(["fox", "hen"], host=host, seed=s)) for s in range(9)]
    assert len(set(pairs)) == 9
    assert pairs[4] == tuple(p.file for p in find_pictures(["fox", "hen"], host=host, seed=4))


@pytest.mark.parametrize(("foxes", "hens"), [(1, 2), (2, 3), (3, 2), (2, 2), (4, 1)])
def test_all_combinations_come_along_whatever_the_numbers_of_pictures(
    host: PluginHost, root: Path, picture: Picture, foxes: int, hens: int
) -> None:
    for name, count in (("fox", foxes), ("hen", hens)):
        for k in range(count):
            Library(root).add(name, picture("a.png", colour=(60 * k, 9, 9)))
    pairs = {
        tuple(p.file for p in find_pictures(["fox", "hen"], host=host, seed=s)) for s in range(foxes * hens)
    }
    assert len(pairs) == foxes * hens


def test_a_name_given_twice_has_two_pictures(host: PluginHost) -> None:
    one, two = find_pictures(["lion", "lions"], host=host)
    assert one.file != two.file
    assert find_pictures(["wolf", "wolf"], host=host)[1].found == "wolf"


def test_an_unknown_name_is_told_with_the_nearest_and_three_ways(host: PluginHost) -> None:
    with pytest.raises(DataError) as caught:
        find_pictures(["horse", "girafe"], host=host)
    assert str(caught.value) == (
        "there is no picture of 'girafe' (did you mean 'giraffe'?): name an image file, or bring one into the "
        "library with `chimera library add girafe FILE` or `chimera library fetch girafe` (in fuse: --fetch)"
    )
    with pytest.raises(DataError, match="no picture of 'qqq': name an image file"):
        find_pictures(["qqq"], host=host)
    with pytest.raises(ConfigError, match="is not a name"):
        find_pictures(["a:b"], host=host)


def test_only_what_is_found_nowhere_is_fetched_and_once(
    host: PluginHost, root: Path, picture: Picture
) -> None:
    asked: list[str] = []

    def fetch(name: str) -> None:
        asked.append(name)
        Library(root).add(name, picture("a.png"))

    found = find_pictures(["horse", "okapi", "okapi"], host=host, fetch=fetch)
    assert asked == ["okapi"]
    assert [p.collection for p in found] == ["tuxpaint", "library", "library"]


def test_a_record_that_cannot_be_read_costs_the_terms_not_the_picture(
    host: PluginHost, root: Path, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Library(root).add("okapi", picture("a.png"))
    record_file(copy).write_text("licence = [[[")
    (found,) = find_pictures(["okapi"], host=host)
    assert found.record.licence == ""
    assert "its terms are not known" in caplog.text
    record_file(copy).write_text('licence = 3\nattribution = "a\\nb\\u001b[31m"\nunknown = 1\n')
    assert find_pictures(["okapi"], host=host)[0].record.attribution == "a\\nb\\x1b[31m"


def test_a_collection_may_name_no_folder_outside_itself(make_host: MakeHost) -> None:
    from pydantic import ValidationError

    from chimera_core.plugins.entries import CollectionEntry

    for folders, parts in ((("stamps",), ()), (("/x",), ("../y",)), (("/x",), ("/etc",))):
        with pytest.raises(ValidationError):
            CollectionEntry(folders=folders, parts=parts, licence="none")


def test_a_collection_that_is_a_whole_disk_ends(
    host: PluginHost, stamps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(30):
        (stamps / f"animals/zz{k}").mkdir()
    monkeypatch.setattr("chimera_core.library.collections.MAX_FILES", 12)
    names = {name for place, name, _ in Names(host) if place.key == "tuxpaint"}
    assert "heron_greatblue" in names and "lion" not in names
