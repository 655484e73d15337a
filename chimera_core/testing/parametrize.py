"""Laws as parameters of a pytest test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from chimera_core.laws import Law, LawBroken


def parametrize_with_laws(laws: Iterable[Law], *, slow: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Make a test of every law, with its name; the test takes ``law`` and calls it.

    A failure that is declared is an expected failure of pytest with its reason, and strict: a law that is kept all the
    same is a failure of the test.

    Args:
        laws: of ``check_fuser`` and the like.
        slow: names of laws whose tests are marked ``slow``.
    """
    few = set(slow)
    parameters = []
    for law in laws:
        marks = [pytest.mark.slow] if law.name in few else []
        if law.expected_failure:
            marks.append(pytest.mark.xfail(reason=law.expected_failure, raises=LawBroken, strict=True))
            law = replace(law, expected_failure="")
        parameters.append(pytest.param(law, id=law.name, marks=marks))
    return pytest.mark.parametrize("law", parameters)
