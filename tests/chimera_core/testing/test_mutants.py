"""Every law is broken by a mutant, and the check names that law and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from toys.mutants import ENCODERS, FUSERS, LEARNERS, SOURCES, TRAINERS, Fade, Learner, Plain, Sign, load_mean

from chimera_core.laws import Law
from chimera_core.testing import check_encoder, check_fuser, check_learner, check_source, check_trainer
from chimera_core.testing.encoders import SmallEncoder

CHECKS: dict[str, Callable[[Any], list[Law]]] = {
    "fuser": check_fuser,
    "learner": lambda build: check_learner(build, load=load_mean),
    "source": check_source,
    "encoder": lambda build: check_encoder(build, size=32),
    "trainer": check_trainer,
}
EXAMPLES = {"fuser": Fade, "learner": Learner, "source": Plain, "encoder": SmallEncoder, "trainer": Sign}
MUTANTS = {"fuser": FUSERS, "learner": LEARNERS, "source": SOURCES, "encoder": ENCODERS, "trainer": TRAINERS}
CASES = [(kind, mutant, law) for kind, mutants in MUTANTS.items() for mutant, law in mutants.items()]


@pytest.mark.parametrize("kind", CHECKS)
def test_the_examples_keep_every_law(kind: str) -> None:
    outcomes = [law.outcome() for law in CHECKS[kind](EXAMPLES[kind])]
    assert [str(o) for o in outcomes if o.verdict not in ("kept", "not-tried")] == []


@pytest.mark.parametrize(
    ("kind", "mutant", "law"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_the_check_names_the_law_that_a_mutant_breaks(kind: str, mutant: Any, law: str) -> None:
    broken = [o for each in CHECKS[kind](mutant) if (o := each.outcome()).verdict == "broken"]
    assert [o.law.name for o in broken] == [law], [str(o) for o in broken]
    assert broken[0].met


@pytest.mark.parametrize("kind", CHECKS)
def test_nearly_every_law_has_a_mutant(kind: str) -> None:
    laws = {law.name for law in CHECKS[kind](EXAMPLES[kind])}
    assert len(set(MUTANTS[kind].values())) >= len(laws) - 3
