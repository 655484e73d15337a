"""Laws as data, and what pytest makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toys.mutants import Fade, Jumps, Raises

from chimera_core.errors import ConfigError
from chimera_core.laws import LawBroken, NotTriedError, law, laws_of
from chimera_core.testing import check_fuser, parametrize_with_laws
from chimera_core.testing.laws.catalogue import LAWS_OF

DOCS = Path(__file__).resolve().parents[3] / "docs"


class Promises:
    def __init__(self) -> None:
        self.asked: list[str] = []

    @law("page.md")
    def builds(self) -> str | None:
        """It can be built."""
        self.asked.append("builds")
        return None

    @law("page.md")
    def is_small(self) -> str | None:
        """It is small."""
        raise NotTriedError("it has no size")

    @law("page.md", after=("is_small",))
    def is_round(self) -> str | None:
        """It is round."""
        raise ZeroDivisionError("no radius")


def test_a_law_has_the_name_and_the_sentence_of_its_method() -> None:
    first = laws_of(Promises())[0]
    assert (str(first), first.statement, first.page) == ("builds", "It can be built.", "page.md")


def test_a_check_is_done_once_however_often_it_is_asked() -> None:
    subject = Promises()
    for each in 2 * laws_of(subject)[:2]:
        each.outcome()
    assert subject.asked == ["builds"]


def test_a_broken_law_names_the_value_the_page_and_the_line_of_the_plugin() -> None:
    broken = next(each for each in check_fuser(Raises) if each.name == "makes-creatures")
    with pytest.raises(LawBroken) as caught:
        broken()
    text = str(caught.value)
    assert re.search(
        r"^law makes-creatures is broken: .* Met: RuntimeError: out of paint \(mutants\.py line \d+\) "
        r"\(docs: reference/laws\.md#of-a-fuser\)$",
        text,
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_declared_failure_passes_and_one_that_is_kept_does_not() -> None:
    reason = "it shows the heaviest alone"
    jumps = {each.name: each for each in check_fuser(Jumps, expected_failures={"smooth-way": reason})}
    jumps["smooth-way"]()
    assert jumps["smooth-way"].outcome().verdict == "expected"
    fade = {each.name: each for each in check_fuser(Fade, expected_failures={"smooth-way": reason})}
    with pytest.raises(
        LawBroken, match=r"smooth-way is kept, and was declared to fail .*heaviest alone.*remove"
    ):
        fade["smooth-way"]()


def test_a_failure_of_an_unknown_law_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no law is named 'smoth-way' \\(did you mean 'smooth-way'"):
        check_fuser(Fade, expected_failures={"smoth-way": "?"})


def test_pytest_gets_a_test_a_law_and_strict_expected_failures() -> None:
    mark = parametrize_with_laws(check_fuser(Jumps, expected_failures={"smooth-way": "why"}), slow=["builds"])
    by_name = {parameter.id: parameter for parameter in mark.mark.args[1]}
    assert [m.name for m in by_name["builds"].marks] == ["slow"]
    (xfail,) = by_name["smooth-way"].marks
    assert xfail.kwargs == {"reason": "why", "raises": LawBroken, "strict": True}


@pytest.mark.parametrize("kind", LAWS_OF)
def test_every_law_is_a_sentence_with_a_page_that_there_is(kind: str) -> None:
    for each in LAWS_OF[kind]():
        file, _, anchor = each.page.partition("#")
        text = (DOCS / file).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert anchor in [re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings], (
            each.page
        )
        assert each.statement.endswith(".") and len(each.statement.split()) > 3


def test_pytest_is_needed_by_its_own_two_modules_alone() -> None:
    kit = DOCS.parent / "chimera_core" / "testing"
    needing = {
        file.name for file in kit.rglob("*.py") if "\nimport pytest" in file.read_text(encoding="utf-8")
    }
    assert needing == {"parametrize.py", "pytest_plugin.py"}
