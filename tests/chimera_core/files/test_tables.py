"""Spreadsheets run nothing that a stranger wrote into a table of ours."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_core.files.tables import csv_text, plain_cell


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x","y")',
        "+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "  =1",
    ],
)
def test_what_begins_a_formula_is_guarded_and_read_back(text: str) -> None:
    cell = next(csv.reader(io.StringIO(csv_text(["a"], [[text]]).split("\n", 1)[1])))[0]
    assert cell.startswith("'") and "\n" not in cell
    if text.isprintable() and not text.startswith(" "):
        assert plain_cell(cell) == text


@pytest.mark.parametrize("text", ["-0.5", "+3", "-1e-9", "-inf", "lion", "a=b", "", "'quoted'", "5-3", "1,2"])
def test_numbers_and_words_stay_as_they_are(text: str) -> None:
    cell = next(csv.reader(io.StringIO(csv_text(["a"], [[text, "end"]]).split("\n", 1)[1])))[0]
    assert cell == text == plain_cell(text)


def test_values_that_are_no_text_are_written_as_they_are() -> None:
    assert csv_text(["=a", "b"], [[-0.5, None], [math.nan, True]]) == "'=a,b\n-0.5,\nnan,True\n"


@pytest.mark.slow
@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2), max_size=5))
def test_no_cell_begins_a_formula_and_no_cell_breaks_a_line(rows: list[list[str]]) -> None:
    text = csv_text(["a", "b"], rows)
    assert len(text.splitlines()) == 1 + len(rows)
    for cell in (cell for row in csv.reader(io.StringIO(text)) for cell in row):
        is_number = (
            cell.strip().lstrip("+-")[:1].isdigit()
            or "nan" in cell.lower()
            or "inf" in cell.lower()
            or "." in cell
        )
        assert is_number or cell.lstrip(" ")[:1] not in tuple("=+-@\t\r")
