"""torchvision's classes: which there are, what they are called with, and which splits they have.

All of it is read from signatures and from the classes' own refusals, so that a data set of a newer torchvision is
there without a line of ours.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chimera_core.api import ConfigError, one_line

SWITCHES = {"train": ("train", "test"), "background": ("background", "evaluation")}
"""Parameters that are True for the first split and False for the second."""
_OURS = frozenset(("self", "root", "transform", "target_transform", "transforms", "download", "loader"))
_TARGETS = ("target_type", "target_types")


def find_class(name: str) -> type:
    """Find a class of ``torchvision.datasets`` by its name, in any case, with or without dashes.

    Raises:
        ConfigError: if there is none, with the nearest one.
    """
    from torchvision import datasets

    found = {
        n: c for n in datasets.__all__ if inspect.isclass(c := getattr(datasets, n)) and n != "VisionDataset"
    }
    plain = {_plain(n): c for n, c in found.items()}
    if _plain(name) in plain:
        return plain[_plain(name)]
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.5)
    hint = f"did you mean '{plain[near[0]].__name__}'?" if near else "see its page of data sets"
    raise ConfigError(f"torchvision has no data set '{one_line(name, limit=60)}' ({hint})")


def _plain(name: str) -> str:
    return re.sub("[-_ ]", "", name).lower()


def parameters_of(kind: type) -> dict[str, inspect.Parameter]:
    """Collect the parameters of a class's constructor, and of its parents' where it passes ``**kwargs`` on."""
    found: dict[str, inspect.Parameter] = {}
    for owner in kind.__mro__:
        if "__init__" not in vars(owner):
            continue
        own = inspect.signature(vars(owner)["__init__"]).parameters
        for name, parameter in own.items():
            found.setdefault(name, parameter)
        if not any(p.kind is p.VAR_KEYWORD for p in own.values()):
            break
    return {n: p for n, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def read_arguments(kind: type, words: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` as a class's constructor wants it.

    Raises:
        ConfigError: if a word is none, names no parameter, or one that is set elsewhere.
    """
    parameters = {n: p for n, p in parameters_of(kind).items() if n not in _OURS and n not in _TARGETS}
    read: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip()
        if not equals or name not in parameters:
            known = ", ".join(parameters) or "none"
            raise ConfigError(
                f"--argument {one_line(word, limit=80)} is not name=value with an argument of {kind.__name__}: it has {known}"
            )
        read[name] = _value(value.strip(), parameters[name])
    return read


def _value(text: str, parameter: inspect.Parameter) -> Any:
    if "str" in str(parameter.annotation) or isinstance(parameter.default, str):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def takes_root(kind: type) -> bool:
    """Say whether a class reads files: ``FakeData`` draws."""
    return "root" in parameters_of(kind)


def can_download(kind: type) -> bool:
    """Say whether a class offers to bring its data."""
    return "download" in parameters_of(kind)


def target_parameter(kind: type) -> str:
    """Name the parameter that says what the target is; empty where a class has none."""
    return next((name for name in _TARGETS if name in parameters_of(kind)), "")


def check_required(kind: type, given: Mapping[str, Any]) -> None:
    """Refuse a class whose constructor wants more than was given.

    Raises:
        ConfigError: naming the argument, and its values where the class says them.
    """
    for name, parameter in parameters_of(kind).items():
        if parameter.default is parameter.empty and name not in _OURS and name not in given:
            values = valid_values(kind, name, given, root=".")
            hint = f": it is one of {', '.join(values)}" if values else ""
            raise ConfigError(
                f"{kind.__name__} needs --argument {name}={values[0] if values else '...'}{hint}"
            )


def split_values(kind: type, given: Mapping[str, Any], *, root: str) -> dict[str, dict[str, Any]]:
    """Give the splits of a class, by name, with the arguments that open them; a given split is the only one.

    Some classes say which they have only when their data are here: until then it is the default.
    """
    parameters = parameters_of(kind)
    for name, (yes, no) in SWITCHES.items():
        if name in parameters:
            both = {yes: {name: True}, no: {name: False}}
            return {k: v for k, v in both.items() if name not in given or v[name] is given[name]}
    if "split" not in parameters:
        return {"all": {}}
    if "split" in given:
        return {str(given["split"]): {"split": given["split"]}}
    values = valid_values(kind, "split", given, root=root) or [str(parameters["split"].default)]
    return {value: {"split": value} for value in values if "+" not in value}


def valid_values(kind: type, name: str, given: Mapping[str, Any], *, root: str) -> list[str]:
    """Ask a class for the values of an argument, by one that it refuses; nothing where it says nothing."""
    asked: dict[str, Any] = {**given, name: "?"}
    if takes_root(kind):
        asked["root"] = root
    if can_download(kind):
        asked["download"] = False  # of some it is on by default
    try:
        kind(**asked)
    except ValueError as error:
        return re.findall(r"'([^']*)'", str(error).partition("Valid values are")[2])
    except Exception:  # torchvision's border: what is missing is said when it is opened
        return []
    return []
