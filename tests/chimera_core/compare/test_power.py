"""``chimera report --power``: how many pairs, seeds and viewers show a difference, from a pilot."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from toys.made_up_comparison import write_comparison

from chimera_core.errors import ConfigError, DataError
from chimera_core.report import power
from chimera_core.report.choices import read_choices
from chimera_core.report.power import (
    Spread,
    choices_needed,
    correlation,
    factor_to_be_safe,
    pairs_needed,
    shown_by,
    spread_of,
)

Here = Callable[..., tuple[int, str, str]]
BLIND = Path(__file__).resolve().parents[3] / "docs" / "results" / "blind-choices"


def normal(sd: float, count: int = 201) -> np.ndarray:
    """Give deviations as a normal distribution has them, with this standard deviation."""
    values = stats.norm.ppf((np.arange(count) + 0.5) / count)
    return np.asarray(values * sd / values.std())


def spread(parents: float, seeds: float | None = None) -> Spread:
    within = np.zeros(0) if seeds is None else normal(seeds)
    return Spread(0.0, parents, seeds, normal(parents), within)


def test_what_pairs_and_what_seeds_vary_is_taken_apart() -> None:
    # Two seeds of each pair lie 0.2 apart: their variance is 0.02. Means are 0, 1, 2, 3, 4: variance 2.5.
    table = np.array([[k - 0.1, k + 0.1] for k in range(5)])
    found = spread_of(table)
    assert found.mean == 2.0 and found.pairs == 5
    assert found.seeds == pytest.approx(math.sqrt(0.02))
    assert found.parents == pytest.approx(math.sqrt(2.5 - 0.02 / 2))
    assert found.between.std() == pytest.approx(found.parents)
    assert np.sqrt((found.within**2).mean()) == pytest.approx(found.seeds)
    assert found.sd(4) == pytest.approx(math.sqrt(2.49 + 0.02 / 4))


def test_seeds_that_are_missing_and_a_single_seed_are_borne() -> None:
    table = np.array([[0.0, np.nan], [1.0, 1.2], [2.0, 2.2], [3.0, np.nan], [4.0, 4.2], [np.nan, np.nan]])
    found = spread_of(table)
    assert found.pairs == 5 and found.seeds == pytest.approx(math.sqrt(0.02))
    assert spread_of(table[:5, :1]).seeds is None


def test_a_pilot_of_a_few_pairs_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="a pilot of 4 pairs of parents does not say how much they differ: make one of 5"
    ):
        spread_of(np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("pairs", "level"), [(6, 0.05), (8, 0.05), (12, 0.05 / 6), (50, 0.05 / 45), (60, 0.05)]
)
def test_the_test_that_is_simulated_is_the_one_of_the_comparison(pairs: int, level: float) -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, 0.6, 1.0):
        drawn = rng.normal(shift, 1, pairs)
        said = power._power(drawn[None], 0.0, level) == 1
        assert said == (
            stats.wilcoxon(drawn).pvalue <= level
            and stats.wilcoxon(drawn, alternative="greater").pvalue < 0.5
        )


def test_of_normal_differences_as_many_pairs_are_needed_as_textbooks_say() -> None:
    # Paired t: (1.96 + 0.84)^2 (0.1 / 0.05)^2 = 31.4, and two more for the t; ranks take pi / 3 times that.
    found = pairs_needed(spread(0.1), seeds=1, difference=0.05, level=0.05)
    assert found is not None and 32 <= found <= 39
    corrected = pairs_needed(spread(0.1), seeds=1, difference=0.05, level=0.05 / 45)
    assert corrected is not None and corrected > 1.5 * found
    assert pairs_needed(spread(0.1), seeds=1, difference=0.05, level=0.05) == found
    half = pairs_needed(spread(0.1), seeds=1, difference=0.025, level=0.05)
    assert half is not None and 3.4 * found <= half <= 4.6 * found


def test_seeds_help_only_where_seeds_are_what_varies() -> None:
    both = [pairs_needed(spread(0.05, 0.1), seeds=k, difference=0.05, level=0.05) for k in (1, 10)]
    assert both[0] is not None and both[1] is not None and both[1] < both[0] / 2
    alike = [pairs_needed(spread(0.1, 0.0), seeds=k, difference=0.05, level=0.05) for k in (1, 10)]
    assert alike[0] is not None and alike[1] is not None and abs(alike[0] - alike[1]) <= 3


def test_fusers_that_never_vary_need_what_the_level_alone_needs() -> None:
    # The most extreme of 6 pairs has p = 2 / 64, of 5 pairs 2 / 32.
    assert pairs_needed(spread(0.0), seeds=1, difference=0.05, level=0.05) == 6
    assert pairs_needed(spread(3.0), seeds=1, difference=0.01, level=0.05) is None


def test_what_the_pilot_itself_shows_is_what_its_pairs_would_be_needed_for() -> None:
    own = Spread(0.0, 0.1, None, normal(0.1, 30), np.zeros(0))
    shown = shown_by(own, seeds=1, level=0.05)
    assert shown is not None
    needed = pairs_needed(own, seeds=1, difference=shown, level=0.05)
    assert needed is not None and 27 <= needed <= 33
    assert shown_by(Spread(0.0, 0.1, None, normal(0.1, 6), np.zeros(0)), seeds=1, level=0.05 / 45) is None


def test_a_small_pilot_asks_for_more_to_be_safe() -> None:
    assert factor_to_be_safe(6) == pytest.approx(5 / 2.3425, abs=1e-3)  # chi-squared, 5 degrees, 20 %
    assert 1 < factor_to_be_safe(200) < 1.1


def test_choices_of_one_viewer_are_as_many_as_the_binomial_test_needs() -> None:
    found = choices_needed(viewers=1, share=0.6, alike=0.0, level=0.05)
    assert found is not None and 190 <= found <= 210
    # The very power, by hand: who wins how many of them, and whether that is significant.
    significant = [k for k in range(found + 1) if k > found / 2 and stats.binomtest(k, found).pvalue <= 0.05]
    assert stats.binom.pmf(significant, found, 0.6).sum() >= 0.8


def test_viewers_who_vote_alike_are_worth_one() -> None:
    alone = choices_needed(viewers=1, share=0.6, alike=0.3, level=0.05)
    assert choices_needed(viewers=5, share=0.6, alike=1.0, level=0.05) == alone
    apart = choices_needed(viewers=3, share=0.6, alike=0.0, level=0.05)
    between = choices_needed(viewers=3, share=0.6, alike=0.5, level=0.05)
    assert alone is not None and apart is not None and between is not None and apart < between < alone
    # Three independent votes of 0.6 give a majority in 0.648.
    assert choices_needed(viewers=1, share=0.648, alike=0.0, level=0.05) == apart
    assert choices_needed(viewers=1, share=0.501, alike=0.0, level=0.05) is None


def test_how_alike_viewers_vote_is_1_for_one_mind_and_0_for_coins() -> None:
    assert correlation([[[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]]]) == 1.0
    draw = random.Random(0)
    coins = [[[draw.randrange(2) for _ in range(3)] for _ in range(2000)]]
    assert correlation(coins) < 0.05
    # A better fuser is no likeness: each pair of fusers has its own mean.
    won = [[[int(draw.random() < p) for _ in range(3)] for _ in range(1000)] for p in (0.1, 0.9)]
    assert correlation(won) < 0.05
    # Half of the choices are of one mind, half are coins: a correlation of a half.
    mixed = [[[k % 2] * 3 if k % 4 < 2 else [draw.randrange(2) for _ in range(3)] for k in range(4000)]]
    assert correlation(mixed) == pytest.approx(0.5, abs=0.04)
    with pytest.raises(ConfigError, match="do not say how alike viewers choose"):
        correlation([[[1], [0]], [[1, 1]]])


def write_choices(path: Path, *rows: str) -> Path:
    path.write_text("choice,x,y,viewer-1,viewer-2\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_votes_are_counted_for_a_fuser_whichever_side_it_was_on(tmp_path: Path) -> None:
    file = write_choices(tmp_path / "c.csv", "1,a,b,X,Y", "2,b,a,X,X", "3,c,a,Y,", "4,c,a,,")
    found = read_choices([file])
    assert found.fusers == ("a", "b", "c") and found.count == 3 and found.viewers == 2
    assert found.groups == (((1, 0), (0, 0)), ((1,),))
    assert found.agreement == 0.5
    assert read_choices([file, file]).count == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("choice,x,y\n1,a,b\n", "is no table of choices: it needs columns x, y and viewer-1"),
        ("x,y,viewer-1\na,b,Z\n", "line 2: a vote 'Z': write X or Y"),
        ("x,y,viewer-1\na,a,X\n", "line 2: not two fusers"),
        ("x,y,viewer-1\na,b,\n", "has no vote"),
        ("x,y,viewer-1\na\n", "line 2: not two fusers"),
    ],
)
def test_a_table_that_is_none_of_choices_is_named_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "c.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        read_choices([file])


@pytest.fixture
def pilot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> Path:
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(power, "_SIMULATIONS", 200)  # what is tested here is the command
    folder = tmp_path / "runs" / "pilot"
    fusers = ("skin", "morph", "copy", "broken")
    write_comparison(folder, fusers=fusers, pairs=6, trios=0, shares=[0.0, 0.5, 1.0], size=16, pictures=1)
    return folder


def test_a_finished_comparison_tells_what_the_next_one_needs(pilot: Path, here: Here) -> None:
    code, out, err = here("report", "pilot", "--power", "--json")
    assert code == 0, err
    found = json.loads(out)["score"]
    assert found["pilot"] == {"pairs": 6, "seeds": 2, "weights": 3} and found["level"] == pytest.approx(
        0.05 / 3
    )
    assert [(row["a"], row["b"]) for row in found["fusers"]] == [
        ("skin", "morph"),
        ("skin", "copy"),
        ("morph", "copy"),
    ]
    row = found["fusers"][0]
    # By the file's own scores: means over the weight at which both parents have a part, of each pair and seed.
    content = json.loads((pilot / "comparison.json").read_text())
    scores = {
        (c["fuser"], c["tuple"], c["seed"]): c["metrics"]["score"]["value"]
        for c in content["cells"]
        if min(c["weights"]) > 0 and c["status"] == "ok"
    }
    table = np.array([[scores["skin", t, s] - scores["morph", t, s] for s in (0, 1)] for t in range(6)])
    assert row["difference"] == pytest.approx(table.mean())
    assert row["sd_seeds"] == pytest.approx(math.sqrt(table.var(1, ddof=1).mean()))
    assert row["pairs"].keys() == {"1", "3", "10"}
    assert all(6 < row["pairs"][k] <= row["pairs_to_be_safe"][k] for k in row["pairs"])
    assert row["pairs"]["10"] <= row["pairs"]["1"]
    assert any("a pilot of 6 pairs is small" in line for line in found["remarks"])
    assert "6 pairs are never significant at p < 0.017: that takes 7 at least" in found["remarks"]
    assert row["shown_by_pilot"] is None
    again = json.loads(here("report", "pilot", "--power", "--json")[1])
    assert again["score"] == found and not (pilot / "report.html").exists()
    one = json.loads(here("report", "pilot", "--power", "--json", "--tests", 1, "--difference", 0.1)[1])[
        "score"
    ]
    assert one["level"] == 0.05 and one["fusers"][0]["pairs"]["1"] <= row["pairs"]["1"]


def test_the_table_has_a_row_for_each_two_fusers_and_what_all_need(pilot: Path, here: Here) -> None:
    code, out, err = here("report", "pilot", "--power", "--choices", BLIND / "photograph-pairs.csv")
    assert code == 0, err
    assert "skin - morph" in out and "all of them, to be safe" in out and "(Wilcoxon)" in out
    assert "by 90 choices of 3 viewers" in out and "viewers choose a fuser in 60% with 80 % power" in out
    assert "a pilot of 6 pairs is small" in out


def test_choices_alone_tell_how_many_are_needed(here: Here) -> None:
    files = ["--choices", BLIND / "photograph-pairs.csv", "--choices", BLIND / "person-cat-pairs.csv"]
    code, out, err = here("report", "--power", *files, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["score"] is None
    found = found["choices"]
    assert found["pilot"]["choices"] == 290 and found["pilot"]["viewers"] == 3
    assert (
        0 < found["correlation"] < 1
        and found["choices"]["5"] <= found["choices"]["3"] <= found["choices"]["1"]
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["pilot", "--choices", "c.csv"], "--choices is for --power"),
        (["pilot", "pilot", "--power"], "--power takes one pilot, but 2 runs were given"),
        (["--power"], "Missing argument 'RUN...'"),
        (["pilot", "--power", "--choices", "gone.csv"], "cannot read 'gone.csv'"),
    ],
)
def test_what_cannot_be_told_is_one_line(pilot: Path, here: Here, args: list[str], message: str) -> None:
    code, out, err = here("report", *args)
    assert code == 2 and not out and message in err and "Traceback" not in err


def test_a_pilot_too_small_is_refused(pilot: Path, here: Here) -> None:
    write_comparison(pilot.parent / "small", pairs=3, trios=0, shares=[0.5], size=16, pictures=1)
    code, _, err = here("report", "small", "--power")
    assert code == 2 and "a pilot of 3 pairs of parents does not say" in err


def test_a_few_lopsided_values_of_a_pilot_neither_hide_a_difference_nor_make_one() -> None:
    # One pair in six far off, as a pilot has it by chance: its mean is not its middle.
    table = np.array([[0.0], [0.01], [0.02], [0.03], [0.04], [0.62]])
    found = spread_of(table)
    needed = pairs_needed(found, seeds=1, difference=0.05, level=0.05)
    # By the standard deviation of 0.245 alone, 197.
    assert needed is not None and 60 <= needed <= 210
    noise = power._noise(found, 40, 1, 0)
    assert power._power(noise, 0.0, 0.05) < 0.05 and noise.std() == pytest.approx(found.parents, rel=0.03)
