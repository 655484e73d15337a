"""Laws as data: what a component promises, each with a name, a sentence, a page of the docs, and a check of it.

A class whose methods are marked by ``law`` holds the laws of one kind of component; ``laws_of`` lists them. A method
gives the value that breaks its law, or nothing where it is kept.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from chimera_core.errors import ConfigError, PluginError
from chimera_core.files.atomic import one_line, quote
from chimera_core.options.config import suggest

Verdict = Literal["kept", "broken", "expected", "unexpected", "not-tried"]
"""``expected``: it fails as was declared; ``unexpected``: it was declared to fail, and is kept; both with a reason."""
_MethodT = TypeVar("_MethodT", bound=Callable[..., str | None])


class LawBroken(PluginError):
    """A component breaks one of its laws. The text names the law, the value met and the page."""

    exit_code = 1


class NotTriedError(Exception):
    """A law cannot be tried with this component: it does not promise it, or another law is broken already."""


class SetupError(PluginError):
    """A component cannot be loaded, or built as its spec's ``check`` says: no law of its kind is broken by that, but
    ``can-be-tried``."""


class _BlockedError(NotTriedError):
    """A law cannot be tried because another one, which it needs, is broken."""


@dataclass(frozen=True, eq=False)
class Law:
    """One promise. Called, it raises ``LawBroken`` if it is broken, or kept where it was declared to fail.

    Args:
        name: by which failures are declared: ``size-asked-for``.
        statement: what is promised, in one sentence.
        page: of the docs, with its heading: ``reference/contract.md#the-laws-of-a-fuser``.
        check: gives the value that breaks it, or nothing; ``NotTriedError`` where it cannot be tried.
        expected_failure: why it fails; empty: it is kept.
    """

    name: str
    statement: str
    page: str
    check: Callable[[], str | None]
    expected_failure: str = ""

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Try it.

        Raises:
            LawBroken: unless it is kept, or fails as declared.
        """
        outcome = self.outcome()
        if outcome.verdict in ("broken", "unexpected"):
            raise LawBroken(str(outcome)) from outcome.error

    def outcome(self) -> Outcome:
        """Try it, and say how it went; nothing is raised."""
        begin = time.perf_counter()
        verdict: Verdict = "kept"
        error: Exception | None = None
        try:
            met = self.check() or ""
        except NotTriedError as reason:
            return Outcome(self, "not-tried", str(reason), wall_s=time.perf_counter() - begin)
        except SetupError as fault:
            return Outcome(can_be_tried(str(fault)), "broken", str(fault), fault, time.perf_counter() - begin)
        except Exception as raised:  # plugin border: what it raises is the value met
            met, error = raised_as(raised), raised
        if self.expected_failure:
            verdict = "expected" if met else "unexpected"
        elif met:
            verdict = "broken"
        return Outcome(self, verdict, one_line(met, limit=400), error, time.perf_counter() - begin)


def can_be_tried(fault: str) -> Law:
    """Give the law that a component breaks which cannot be loaded, or built as its spec's ``check`` says."""
    statement = "It can be loaded, and built as the check of its spec says."
    return Law("can-be-tried", statement, "how-to/test-plugins.md#what-is-tried-with-what", lambda: fault)


@dataclass(frozen=True)
class Outcome:
    """What came of trying a law: the value ``met``, and the ``error`` that the component raised, if it did."""

    law: Law
    verdict: Verdict
    met: str = ""
    error: Exception | None = None
    wall_s: float = 0.0

    def __str__(self) -> str:
        law = self.law
        if self.verdict == "unexpected":
            return (
                f"law {law.name} is kept, and was declared to fail ({law.expected_failure}): remove the declaration "
                "from expected_failures"
            )
        return f"law {law.name} is broken: {law.statement} Met: {self.met} (docs: {law.page})"


def law(page: str, *, after: Sequence[str] = ()) -> Callable[[_MethodT], _MethodT]:
    """Mark a method as a law: its name, with dashes, is the law's, and its docstring's first line the statement.

    Args:
        page: of the docs.
        after: methods of laws without which this one says nothing: while one of them is broken, it is not tried. The
            first law of a class comes before all.
    """

    def mark(method: _MethodT) -> _MethodT:
        method.law_page = page  # type: ignore[attr-defined]
        method.law_after = tuple(after)  # type: ignore[attr-defined]
        return method

    return mark


def laws_of(subject: Any, expected_failures: Mapping[str, str] | None = None) -> list[Law]:
    """List the laws of a subject, in the order in which its class states them.

    Args:
        subject: its methods that are marked by ``law`` are the checks.
        expected_failures: by the law's name, why it fails.
    Raises:
        ConfigError: if a failure is declared of no law, or without a reason.
    """
    methods = {
        name: method
        for kind in reversed(type(subject).__mro__)
        for name, method in vars(kind).items()
        if hasattr(method, "law_page")
    }
    trials: dict[str, _Trial] = {}
    found: dict[str, Law] = {}
    declared = expected_failures or {}
    for attribute, method in methods.items():
        needed = dict.fromkeys([*list(trials)[:1], *method.law_after])
        trial = _Trial(getattr(subject, attribute), {name.replace("_", "-"): trials[name] for name in needed})
        name, trials[attribute] = attribute.replace("_", "-"), trial
        statement = str(method.__doc__).partition("\n")[0]
        found[name] = Law(name, statement, method.law_page, trial, declared.get(name, ""))
    check_declared(declared, found)
    return list(found.values())


class _Trial:
    """The check of a law, done once, and not where one that it needs finds something."""

    def __init__(self, check: Callable[[], str | None], needed: Mapping[str, _Trial]) -> None:
        self._check, self._needed = check, needed
        self._found: list[str | Exception] = []

    def __call__(self) -> str:
        if not self._found:
            try:
                for name, other in self._needed.items():
                    if other.blocks():
                        raise _BlockedError(f"law {name} is broken")
                self._found.append(self._check() or "")
            except Exception as error:  # plugin border: it is kept, and raised again
                self._found.append(error)
        if isinstance(self._found[0], Exception):
            raise self._found[0]
        return self._found[0]

    def blocks(self) -> bool:
        try:
            return bool(self())
        except _BlockedError:
            return True
        except NotTriedError:
            return False
        except Exception:  # plugin border
            return True


def check_declared(declared: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Refuse failures that are declared of no law.

    Raises:
        ConfigError: with the nearest law's name.
    """
    for name in declared:
        if name not in known:
            raise ConfigError(f"no law is named {quote(one_line(name, limit=60))}" + suggest(name, known))


def declare(laws: Sequence[Law], expected_failures: Mapping[str, str]) -> list[Law]:
    """Give laws with more failures declared; see ``laws_of``."""
    check_declared(expected_failures, {each.name: each for each in laws})
    return [
        replace(each, expected_failure=expected_failures.get(each.name, each.expected_failure))
        for each in laws
    ]


def raised_as(error: BaseException) -> str:
    """Put what a plugin raised on one line: kind, text, and the file and line of the plugin's where it happened."""
    text = one_line(" ".join(str(error).split()), limit=240)
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = place_of(error)
    return f"{reason} ({place})" if place else reason


def place_of(error: BaseException) -> str:
    """Name the last file and line of an error that is neither ours nor a library's; empty where there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename.replace("\\", "/")
        is_standard = "/lib/python3" in path and "/site-packages/" not in path
        if not (is_standard or path.startswith("<") or any(part in path for part in _LIBRARIES)):
            return f"{one_line(path.rpartition('/')[2], limit=80)} line {frame.lineno}"
    return ""


_LIBRARIES = ("/chimera_core/", "/torch/", "/numpy/", "/pydantic/", "/pluggy/")
