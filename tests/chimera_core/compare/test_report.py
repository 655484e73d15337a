"""What stands in report.html, report.md and sheet.png."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys.made_up_comparison import FUSERS, SHARES, WEIRD, write_comparison

from chimera_core.errors import ConfigError
from chimera_core.report import columns
from chimera_core.report.page import write_report
from chimera_core.report.reading import read_comparison
from chimera_core.scoring.formula import EARLIER, FORMULA

VOID = {"meta", "link", "img", "input", "br", "wbr", "col", "line", "circle", "path"}


class Page(HTMLParser):
    """Every element with its attributes and the text inside it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.stack: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        words: list[str] = []
        self.elements.append((tag, dict(attrs), words))
        if tag not in VOID:
            self.stack.append((tag, words))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.stack and self.stack[-1][0] == tag, f"</{tag}> closes {self.stack[-1:]}"
            self.stack.pop()

    def handle_data(self, data: str) -> None:
        for _, words in self.stack:
            words.append(data)

    def all(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attrs, " ".join("".join(words).split()))
            for name, attrs, words in self.elements
            if name == tag and all(attrs.get(key) == value for key, value in attributes.items())
        ]


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page((written / "report.html").read_text(encoding="utf-8"))


def block(page: Page, name: str) -> Any:
    ((_, text),) = page.all("script", id=name)
    return json.loads(text)


@pytest.mark.slow
def test_the_page_is_well_formed_and_every_id_is_there_once(page: Page) -> None:
    assert page.stack == []
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = [
        attrs[key] for _, attrs, _ in page.elements for key in ("aria-labelledby", "for") if attrs.get(key)
    ]
    assert named and all(set(str(name).split()) <= set(ids) for name in named)
    links = [str(attrs["href"])[1:] for attrs, _ in page.all("a")]
    assert set(links) <= set(ids)


def test_nothing_in_the_page_names_another_place(page: Page, written: Path) -> None:
    for tag, attrs, _ in page.elements:
        for key in ("src", "srcset", "action", "poster", "data", "xlink:href", "formaction"):
            assert key not in attrs, f"<{tag} {key}={attrs[key]}>"
        if "href" in attrs:
            assert str(attrs["href"]).startswith("#") or attrs["href"] == "data:,"
    text = (written / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_policy_allows_our_script_alone(page: Page, written: Path) -> None:
    (script,) = [words for tag, attrs, words in page.elements if tag == "script" and not attrs]
    digest = base64.b64encode(hashlib.sha256("".join(script).encode()).digest()).decode()
    (policy,) = [attrs["content"] for attrs, _ in page.all("meta") if "http-equiv" in attrs]
    assert "default-src 'none'" in str(policy)
    assert f"script-src 'sha256-{digest}'" in str(policy)


def test_a_name_that_looks_like_markup_stays_text(page: Page, written: Path) -> None:
    assert page.all("img") == []  # the script makes the pictures; the name made none
    assert any(WEIRD in text for _, text in page.all("th"))
    assert not any(key.startswith("on") for _, attrs, _ in page.elements for key in attrs)
    assert WEIRD not in (written / "report.html").read_text(encoding="utf-8")
    assert page.all("b") == []  # that is what an error said


def test_the_text_of_the_experiment_cannot_end_a_script_or_the_page(page: Page) -> None:
    assert any("# </script>" in text for _, text in page.all("code"))
    assert len(page.all("body")) == 1


def test_the_ranking_is_in_order_and_shows_intervals_and_what_has_none(page: Page) -> None:
    cells = [(attrs, text) for attrs, text in page.all("th", scope="row") if "data-value" in attrs]
    assert [attrs["data-value"] for attrs, _ in cells] == list(FUSERS)
    rows = [text for _, text in page.all("tr")]
    assert any("0.600" in row and "0.540 to 0.660" in row for row in rows)
    assert any("component-broken" in row and "n/a" in row and "0.000" not in row for row in rows)


def test_a_tie_has_no_winner(page: Page) -> None:
    leads = [text for attrs, text in page.all("p") if attrs.get("class") == "lead"]
    assert leads[0] == "No winner: skin has the best mean score, but the intervals do not tell it from morph."
    assert any("morph is not told apart from skin." in text for _, text in page.all("li"))


def test_warnings_controls_judges_failures_and_what_is_not_measured_are_said(page: Page) -> None:
    words = " ".join(text for _, text in page.all("main"))
    assert "ignores-weights (its creatures do not follow the weights" in words
    assert "second-judge ranks with a Kendall tau of 0.600" in words
    assert "it always fails" in words and "ValueError: <b>no</b> luck" in words
    assert "4 images, and a subset takes 100" in words
    assert "chimera compare made-up.toml" in words and "0" * 40 in words
    assert [text for _, text in page.all("dd")].count("2.11") == 1
    assert (
        "creature: 1 cell failed; figures are of the others" in words and "with their 95 % intervals" in words
    )
    tags = [text for attrs, text in page.all("span") if attrs.get("class") == "tag"]
    assert tags == ["control", "control"]


def test_every_plot_says_in_words_what_it_shows(page: Page) -> None:
    plots = page.all("svg", role="img")
    # Score by cost twice (wide and narrow), then position and score for each of five fusers that made something.
    assert len(plots) == 2 + 5 + 5
    assert all(attrs.get("aria-labelledby") for attrs, _ in plots)
    titles = [text for _, text in page.all("title")]
    assert (
        "skin: position 0.000 at 0 %, 0.250 at 25 %, 0.500 at 50 %, 0.750 at 75 %, 1.000 at 100 %" in titles
    )
    assert any(text.startswith("skin: 0.600 at 1.5 s per image") for text in titles)


def test_the_page_holds_each_picture_once_and_its_colours(page: Page, written: Path) -> None:
    content = json.loads((written / "comparison.json").read_text())
    data, first = block(page, "page-data"), block(page, "tuple-0")
    fuser, weight, seed = 1, 2, 1
    at = (seed * len(SHARES) + weight) * len(FUSERS) + fuser
    (cell,) = [
        c
        for c in content["cells"]
        if (c["fuser"], c["tuple"], c["seed"], c["weights"]) == (FUSERS[fuser], 0, 1, [0.5, 0.5])
    ]
    ours = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(first["tiles"][at]))).convert("RGB"), dtype=float
    )
    file = np.asarray(Image.open(written / cell["image"]).convert("RGB"), dtype=float)
    assert ours.shape == file.shape and abs(ours - file).mean() < 12 and abs((ours - file).mean()) < 2
    score = data["metrics"].index("score")
    assert first["facts"][at][score] == pytest.approx(cell["metrics"]["score"]["value"], rel=1e-3)
    tiles = [tile for i in range(4) for tile in block(page, f"tuple-{i}")["tiles"] if tile]
    assert len(tiles) == sum(c["image"] is not None for c in content["cells"])


def test_failed_cells_missing_parents_and_three_parents_are_in_the_data(page: Page) -> None:
    first, last = block(page, "tuple-0"), block(page, "tuple-3")
    assert first["parents"][0] and first["parents"][1] is None
    assert {"status": "failed", "reason": "ValueError: <b>no</b> luck"} in first["facts"]
    assert last["weights"] == [[pytest.approx(1 / 3, abs=1e-5)] * 3]
    assert len(last["parents"]) == 3 and len(last["tiles"]) == 2 * 1 * len(FUSERS)
    kid = block(page, "page-data")["metrics"].index("KID[first-judge]")
    assert first["reasons"][int(first["facts"][0][kid])] == "4 images, and a subset takes 100"


def test_markdown_has_the_ranking_and_escapes_names(written: Path) -> None:
    text = (written / "report.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2].strip() for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert rows == list(FUSERS)
    assert "| 1 | skin | 0.600 (0.540 to 0.660) |" in text
    assert "![Parents and creatures of the middle weights and the first seed](sheet.png)" in text
    assert "<img" not in text and "&lt;img src=x onerror=alert(1)&gt;.png" in text
    assert "```toml\n" in text and text.count("```") % 2 == 0


def test_the_sheet_has_a_row_for_each_tuple_and_leaves_failures_empty(written: Path) -> None:
    sheet = np.asarray(Image.open(written / "sheet.png"))
    pad, size = 12, 32
    assert (sheet.shape[1] - pad) / (size + pad) == 3 + len(FUSERS)  # three parents at most
    ends = sheet[:, -(size + pad) : -pad]  # the column of the fuser that always fails
    assert (ends.min(axis=2) < 250).mean() < 0.2
    assert (sheet[:, pad : pad + size].min(axis=2) < 250).mean() > 0.4


@pytest.mark.slow
def test_of_many_tuples_and_fusers_the_sheet_shows_the_first_and_best(tmp_path: Path) -> None:
    write_comparison(
        tmp_path / "c",
        fusers=[f"f{i}" for i in range(20)],
        pairs=30,
        seeds=[0],
        shares=[0.5],
        size=16,
        trios=0,
    )
    write_report(tmp_path / "c")
    width, height = Image.open(tmp_path / "c" / "sheet.png").size
    assert (width - 12) / (16 + 12) == 2 + 16
    assert height < 26 * 60


def test_a_picture_that_is_gone_or_damaged_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    content = write_comparison(folder, pairs=1, trios=0, seeds=[0])
    gone, cut = [cell["image"] for cell in content["cells"] if cell["image"]][:2]
    (folder / gone).unlink()
    (folder / cut).write_bytes((folder / cut).read_bytes()[:100])
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    assert any("1 file that the comparison names is not there" in text for _, text in page.all("p"))
    message = [fact["reason"] for fact in block(page, "tuple-0")["facts"] if isinstance(fact, dict)]
    assert any("damaged or cut short" in text and cut in text for text in message)
    assert not any(str(tmp_path) in text for text in message)


@pytest.mark.slow
def test_pictures_become_smaller_and_seeds_fewer_until_they_fit(written: Path) -> None:
    from chimera_core.report.pictures import choose_embedding
    from chimera_core.report.reading import read_comparison

    comparison = read_comparison(written)
    assert choose_embedding(written, comparison) == choose_embedding(written, comparison, budget=10**9)
    assert choose_embedding(written, comparison).seeds == (0, 1)
    least = choose_embedding(written, comparison, budget=1)
    assert least.seeds == (0,) and least.side == 48


def test_nothing_is_written_when_the_last_part_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chimera_core.report import page as report

    write_comparison(tmp_path / "c", pairs=1, trios=0, seeds=[0])
    before = sorted(tmp_path.rglob("*"))

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "_write_page", fail)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path / "c")
    assert sorted(tmp_path.rglob("*")) == before


def test_without_any_score_the_page_says_so(tmp_path: Path) -> None:
    write_comparison(tmp_path / "c", fusers=["broken"], pairs=1, trios=0, seeds=[0])
    page = Page(write_report(tmp_path / "c").read_text(encoding="utf-8"))
    assert any("Nothing could be ranked" in text for _, text in page.all("p"))
    assert any("There is nothing to plot" in text for _, text in page.all("p"))


def test_an_empty_comparison_is_a_report_too(tmp_path: Path) -> None:
    content = write_comparison(tmp_path / "c", fusers=[], pairs=0, trios=0)
    content |= {"second_judge": None, "reference": None, "judges": []}
    (tmp_path / "c" / "comparison.json").write_text(json.dumps(content))
    (tmp_path / "c" / "run.json").unlink()
    (tmp_path / "c" / "config.toml").unlink()
    page = Page(write_report(tmp_path / "c").read_text(encoding="utf-8"))
    assert any("one encoder's opinion" in text for _, text in page.all("li"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["cells"][0].update(image="../secret.png"), "lies outside the folder"),
        (lambda c: c["cells"][0].update(image="/etc/secret.png"), "lies outside the folder"),
        (lambda c: c["cells"][0].update(fuser="nobody"), "no fuser 'nobody'"),
        (lambda c: c["cells"][0].update(tuple=99), "no tuple 99"),
        (lambda c: c["cells"][0].update(weights=[1.0]), "1 weights for 2 parents"),
        (lambda c: c["cells"][0].update(status="fine"), "cells.0.status"),
        (lambda c: c.pop("fusers"), "fusers: Field required"),
        (lambda c: c["tuples"].append(c["tuples"][0]), "share an id"),
    ],
)
def test_a_record_that_says_what_cannot_be_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    content = write_comparison(tmp_path / "c", pairs=1, trios=0, seeds=[0], shares=[0.5])
    change(content)
    (tmp_path / "c" / "comparison.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        write_report(tmp_path / "c")
    assert "\n" not in str(error.value) and "comparison.json" in str(error.value)
    assert not (tmp_path / "c" / "report.html").exists()


def test_not_a_number_counts_as_not_measured(tmp_path: Path) -> None:
    content = write_comparison(tmp_path / "c", pairs=1, trios=0, seeds=[0], shares=[0.5])
    content["cells"][0]["metrics"]["score"]["value"] = float("nan")
    (tmp_path / "c" / "comparison.json").write_text(json.dumps(content))
    page = Page(write_report(tmp_path / "c").read_text(encoding="utf-8"))
    score = block(page, "page-data")["metrics"].index("score")
    assert block(page, "tuple-0")["facts"][0][score] == "0"


def test_the_page_and_the_text_say_what_an_axis_does(page: Page, written: Path) -> None:
    (caption,) = page.all("caption")
    assert caption[1].endswith("by encoder, 2 trainings each")
    rows = [text for _, text in page.all("tr") if "0.310" in text or "0.430" in text]
    plain = next(text for text in rows if text.startswith("plain"))
    robust = next(text for text in rows if text.startswith(WEIRD))
    assert "0.200 to 0.400" in plain and "0.300, 0.320" in plain and "first" in plain
    assert "0.120" in robust and "0.050 to 0.200" in robust and "0.010" in robust
    assert "## Axes" in (text := (written / "report.md").read_text(encoding="utf-8"))
    assert "| 0.120 (0.050 to 0.200) | 0.010 |" in text


def test_a_report_travels_without_the_folders_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    write_comparison(folder, pairs=1, trios=0)
    document = json.loads((folder / "comparison.json").read_text())
    failed = next(cell for cell in document["cells"] if cell["status"] == "failed")
    failed["error"] = "'/home/me/private pictures/lion.png' is damaged"
    document["command"] = "chimera compare /home/me/secret/e.toml --run /home/me/runs/x"
    document["fusers"][0]["options"] = {"root": "/home/me/secret/data", "page": "https://example.org/a/b"}
    (folder / "comparison.json").write_text(json.dumps(document))
    (folder / "config.toml").write_text(
        '# /home/me\n[parents]\nsource = "folder"\noptions = { root = "/home/me/secret" }\n'
    )
    (folder / "run.json").write_text(
        json.dumps({"command": ["chimera", "/home/me/x"], "device": "/home/me/gpu"})
    )
    page = write_report(folder).read_text() + (folder / "report.md").read_text()
    assert "/home/me" not in page and "private pictures" not in page
    assert (
        "lion.png" in page
        and "chimera compare e.toml --run x" in page
        and 'root = "secret"' in page.replace("&#34;", '"')
    )


def test_fusers_that_only_their_folders_tell_apart_keep_them(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    write_comparison(folder, pairs=1, trios=0, fusers=("skin", "copy"))
    text = (folder / "comparison.json").read_text()
    (folder / "comparison.json").write_text(text.replace('"skin"', '"/a/x"').replace('"copy"', '"/b/x"'))
    assert {fuser.id for fuser in read_comparison(folder).fusers} == {"/a/x", "/b/x"}


def test_scores_of_an_earlier_formula_are_readable_and_named_as_such(tmp_path: Path) -> None:
    content = write_comparison(tmp_path / "c", pairs=1, trios=0, seeds=[0], shares=[0.5])
    page = write_report(tmp_path / "c")
    assert f"follow formula {FORMULA}." in page.read_text(encoding="utf-8")
    del content["formula"]
    (tmp_path / "c" / "comparison.json").write_text(json.dumps(content))
    write_report(tmp_path / "c")
    for name in ("report.html", "report.md"):
        text = (tmp_path / "c" / name).read_text(encoding="utf-8")
        assert f"formula {EARLIER} or an older one, and do not compare" in text


def test_the_page_explains_every_column_of_the_ranking_and_the_tests(page: Page) -> None:
    terms = {text for _, text in page.all("dt")}
    for table, known in ((page.all("table", id="table"), columns.RANKING), (None, columns.TESTS)):
        if table is not None:
            headings = [text for attrs, text in page.all("button") if "data-first" in attrs]
            assert headings[:3] == ["Rank", "Fuser", "score"] and headings[-3:-1] == ["per image", "training"]
            shown = {h.lower().replace("tuples", "pairs") for h in headings}
            assert shown - {name.replace("_", " ") for name in columns.FIGURES} <= set(known)
        assert set(known) - {"remarks"} <= terms
    assert {"leakage", "membership_0", "score"} <= terms


def test_the_text_has_the_pairwise_tests_and_explains_every_column(written: Path) -> None:
    text = (written / "report.md").read_text(encoding="utf-8")
    content = json.loads((written / "comparison.json").read_text())
    tests = text.partition("## Pairwise tests")[2].partition("\n## ")[0]
    assert len(content["tests"]) == 5 and tests.count("−0.020 to 0.200") == 5
    assert "| skin | morph | 0.100 | −0.020 to 0.200 | 0.200 | 0.400 |" in tests
    legend = text.partition("## What the columns mean")[2].partition("\n## ")[0]
    ranking = text.partition("## Ranking")[2].splitlines()[2]
    for heading in [h.strip() for h in (ranking + tests.splitlines()[2]).split("|") if h.strip()]:
        meant = heading.replace("tuples", "pairs")
        assert f"| {meant} |" in legend.replace("\\_", "_"), heading
    for name, meaning in columns.RANKING.items():
        assert name in legend and meaning.split(";")[0] in legend.replace("\\", "")
