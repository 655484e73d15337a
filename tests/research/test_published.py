"""Tables of measured figures in docs: each is drawn from a file of research/, which says where its figures come from."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
RESEARCH, DOCS = REPOSITORY / "research", REPOSITORY / "docs"
KEPT = sorted((RESEARCH / "published").glob("*/*.json"))
TYPED = {
    "| page | contents |": "the list of pages, whose digits are names and sizes",
    "| section | figures |": "the list of what a benchmark measures, whose digits are sizes",
    "| file | choices | scores in it |": "the list of CSV files; how many choices each holds can be counted in it",
}
"""First lines of tables with digits that are no measurements, and why they may be typed."""


@pytest.fixture
def table() -> Callable[[dict[str, Any]], str]:
    from published.tables import table

    return table


def written(table: Callable[[dict[str, Any]], str], cell: Any, **column: Any) -> str:
    _, _, row = table({"columns": [{"title": "x", **column}], "rows": [[cell]]}).splitlines()
    return row


def test_a_table_is_titles_a_rule_and_rows(table: Callable[[dict[str, Any]], str]) -> None:
    columns = [{"title": ""}, {"title": "images", "format": "{:,}"}]
    rows = [["plain", 1200], ["missing", None], {"bold": ["all", 7]}]
    assert table({"columns": columns, "rows": rows}).splitlines() == [
        "| | images |",
        "|---|---|",
        "| plain | 1,200 |",
        "| missing | |",
        "| **all** | **7** |",
    ]


def test_a_cell_takes_the_format_with_as_many_fields_as_it_has_numbers(
    table: Callable[[dict[str, Any]], str],
) -> None:
    formats = ["{:.1f} %", "{:.1f} % [{:.1f}, {:.1f}]"]
    assert written(table, 68, format=formats) == "| 68.0 % |"
    assert written(table, [68, [63.8, 71.9]], format=formats) == "| 68.0 % [63.8, 71.9] |"
    assert written(table, {"value": [21, 22], "format": "{} to {} %"}, format=formats) == "| 21 to 22 % |"
    with pytest.raises(ValueError, match="2 numbers"):
        written(table, [1, 2], format=formats)


def test_repetitions_are_joined_and_shares_may_go_without_their_zero(
    table: Callable[[dict[str, Any]], str],
) -> None:
    assert written(table, [0.5, 0.496], format="{:.3f}", join=", ") == "| 0.500, 0.496 |"
    assert written(table, [[184, 9], [200, 8]], format="{} ({})", join=", ") == "| 184 (9), 200 (8) |"
    assert written(table, 12, format="{}", join=", ") == "| 12 |"
    assert written(table, {"bold": 0.5}, format="{:.2f}", leading_zero=False) == "| **.50** |"
    assert written(table, 1.0, format="{:.2f}", leading_zero=False) == "| 1.00 |"


def test_a_row_has_a_cell_for_every_column(table: Callable[[dict[str, Any]], str]) -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        table({"columns": [{"title": "x"}], "rows": [["a", "b"]]})


def test_every_table_of_figures_is_drawn() -> None:
    import redraw

    pages = [*(DOCS / "results").rglob("*.md"), *(DOCS / "explanation").glob("*.md")]
    tables = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
    typed = [
        (page.name, table.partition("\n")[0])
        for page in pages
        for table in tables.findall(redraw.BLOCK.sub("", page.read_text(encoding="utf-8")))
        if re.search(r"\d", table)
    ]
    assert [(page, title) for page, title in typed if title not in TYPED] == []
    assert sorted(title for _, title in typed) == sorted(TYPED), "an exception without its table"


def test_every_kept_table_is_drawn_once_on_the_page_that_its_folder_names() -> None:
    import redraw

    drawn = [
        (page.stem, folder, name)
        for page in DOCS.rglob("*.md")
        for _, folder, name, _ in redraw.BLOCK.findall(page.read_text(encoding="utf-8"))
    ]
    published = sorted((page, name) for page, folder, name in drawn if folder == "published")
    assert published == sorted((path.parent.name, f"{path.parent.name}-{path.stem}") for path in KEPT)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_figures_are_kept_as_numbers_with_their_source(path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert re.search(r"docs at commit [0-9a-f]{7,}; \w+|^counted from docs/[\w/-]+\.csv$", kept["source"])
    rows = [row["bold"] if isinstance(row, dict) else row for row in kept["rows"]]
    for column, cells in zip(kept["columns"], zip(*rows, strict=True), strict=True):
        for cell in cells:
            words = cell["bold"] if isinstance(cell, dict) and "bold" in cell else cell
            assert not isinstance(words, str) or "format" not in column or not re.search(r"\d", words), words
            assert not isinstance(words, str) or not re.fullmatch(r"[-+\d.,% ]+", words), words


SIZES = {"pairs": (0, 10, 20, 40), "pairs-2": (0, 5, 10, 20)}
"""Where the kinds of parents begin in the files of pairs, in the order of the tables' rows."""


@pytest.mark.parametrize(("name", "run"), [("portrait-1", "pairs"), ("portrait-2", "pairs-2")])
def test_portraits_shares_are_those_of_the_kept_choices(name: str, run: str) -> None:
    kept = json.loads((RESEARCH / "published" / "pairs" / f"{name}.json").read_text(encoding="utf-8"))
    sizes = SIZES[run]
    kinds = [*pairwise(sizes), (0, sizes[-1])]
    rows = [row["bold"] if isinstance(row, dict) else row for row in kept["rows"]]
    rivals = [column["title"] for column in kept["columns"][1:-1]]
    for row, (start, stop) in zip(rows, kinds, strict=True):
        for rival, share in zip(rivals, row[1:-1], strict=True):
            votes = [
                won
                for choice, won in votes_on("portraits.csv", "portrait", rival)
                if choice["run"] == run and start <= int(choice["parents"]) < stop
            ]
            assert share == round(sum(votes) / len(votes), 2), (row[0], rival)


def test_parts_shares_are_those_of_the_kept_choices() -> None:
    kept = json.loads((RESEARCH / "published" / "pairs" / "parts-against.json").read_text(encoding="utf-8"))
    for rival, *viewers, percent in kept["rows"]:
        votes = [won for _, won in votes_on("parts.csv", "parts", rival)]
        assert [won for won, _ in viewers] == [sum(votes[k::3]) for k in range(3)]
        assert {asked for _, asked in viewers} == {len(votes) // 3}
        assert percent == round(100 * sum(votes) / len(votes))


def votes_on(file: str, fuser: str, rival: str) -> Iterator[tuple[dict[str, str], bool]]:
    """Give every vote between the two, viewer by viewer within a choice, and whether ``fuser`` won it."""
    with (DOCS / "results" / "blind-choices" / file).open(encoding="utf-8") as lines:
        for choice in csv.DictReader(lines):
            if {choice["x"], choice["y"]} == {fuser, rival}:
                for viewer in ("viewer-1", "viewer-2", "viewer-3"):
                    if choice[viewer]:
                        yield choice, choice[choice[viewer].lower()] == fuser


def counted_from(name: str) -> tuple[list[Any], list[dict[str, str]]]:
    """Give a table's rows, and those of the file that it is counted from."""
    kept = json.loads((RESEARCH / "published" / "pairs" / f"{name}.json").read_text(encoding="utf-8"))
    with open(REPOSITORY / kept["source"].removeprefix("counted from "), encoding="utf-8") as file:
        return kept["rows"], list(csv.DictReader(file))


@pytest.mark.parametrize(("table", "version"), [("parts-colours", "colours"), ("parts-heads", "heads")])
def test_a_table_of_versions_is_counted_from_the_choices(table: str, version: str) -> None:
    rows, choices = counted_from(table)
    for title, name, one, kept, best in rows:
        of = [
            c for c in choices if title.startswith(f"{c['round']}: {c['pairs'][:-4]}") and c[version] == name
        ]
        assert one == [sum(c["animals"] == "one" for c in of), len(of)]
        assert kept == [sum(c["keep"] == "yes" for c in of), len(of)]
        assert best == sum(c["best"] == name for c in of)
    assert len(rows) == len({(c["round"], c["pairs"], c[version]) for c in choices})


@pytest.mark.parametrize("table", ["parts-4", "parts-5"])
def test_the_table_of_a_set_is_counted_from_the_answers(table: str) -> None:
    rows, answers = counted_from(table)
    for viewer, body, head, both, one, kept in rows:
        of = [a for a in answers if a["viewer"] == str(viewer)]
        right = [(a["body"] == "right", a["head"] == "right") for a in of]
        assert [body, head] == [sum(pair) for pair in zip(*right, strict=True)]
        assert both == [sum(map(all, right)), len(of)]
        assert [one, kept] == [sum(a["animals"] == "one" for a in of), sum(a["keep"] == "yes" for a in of)]
