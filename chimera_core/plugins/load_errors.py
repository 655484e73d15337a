"""What is wrong with a plugin that cannot be loaded, in one line: the cause, then what its user does, or its author."""

from __future__ import annotations

import os
import re
import shlex
import traceback
from importlib.metadata import Distribution

from chimera_core import __version__
from chimera_core.errors import PluginError
from chimera_core.files.atomic import one_line

UPDATE_US = "update chimera-toolkit with pip install -U chimera-toolkit"


class SpecError(PluginError):
    """A plugin's module or spec is wrong; ``change`` is what its author does about it."""

    def __init__(self, fault: str, *, change: str) -> None:
        super().__init__(fault)
        self.change = change


class NewerToolkit(SpecError):
    """A plugin uses what this version of the toolkit does not have."""


class TargetError(PluginError):
    """A component cannot be loaded. The text ends with what a user does; ``for_author`` with what its author changes."""

    def __init__(self, fault: str, *, change: str, mend: str) -> None:
        super().__init__(f"{fault}: {mend}")
        self.for_author = f"{fault}: {change}"


def change_of(error: BaseException, module: str, *, otherwise: str = "") -> str:
    """Return what the author of a plugin changes where ``module`` cannot be loaded, or what is wanted of it."""
    place = line_of(error, module).strip(" ()")
    change = f"mend {place}" if place else otherwise or f"mend {module}"
    if isinstance(error, SpecError):
        change = error.change
    elif isinstance(error, ImportError) and _is_own(error.name, "chimera_core"):
        change = "import names that the page of hooks lists"
    elif isinstance(error, ModuleNotFoundError) and not _is_own(error.name, module):
        change = f"add what brings {error.name} to the dependencies in pyproject.toml"
    return f"{change}, or {UPDATE_US}" if _may_be_newer(error) else change


def _may_be_newer(error: BaseException) -> bool:
    """Return whether the plugin may be written for a toolkit that is newer than this one."""
    is_ours = isinstance(error, ImportError) and _is_own(error.name, "chimera_core")
    is_field = isinstance(error, TypeError) and "unexpected keyword argument" in str(error)
    return isinstance(error, NewerToolkit) or is_ours or is_field


def _is_own(name: str | None, module: str) -> bool:
    return str(name or "").partition(".")[0] == module.partition(".")[0]


def user_mend(error: BaseException, distribution: Distribution | None) -> str:
    """Return what a user does about a plugin that failed: which side is old, as far as that can be told."""
    mend = mend_by_pip(distribution.name if distribution else "")
    if wanted := _toolkit_wanted(distribution):
        return f"it needs chimera-toolkit {wanted}, and this is {__version__}: {UPDATE_US}"
    if _may_be_newer(error):
        return f"if it was written for a newer toolkit, {UPDATE_US}; else {mend}"
    return mend


def _toolkit_wanted(distribution: Distribution | None) -> str:
    """Give the versions of this toolkit that a plugin's distribution asks for, if this one is none of them."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in (distribution.requires if distribution else None) or ():
        try:
            needed = Requirement(text)
        except InvalidRequirement:
            continue
        is_ours = re.sub(r"[-_.]+", "-", needed.name).lower() == "chimera-toolkit"
        if is_ours and not needed.marker and not needed.specifier.contains(__version__, prereleases=True):
            return str(needed.specifier)
    return ""


def line_of(error: BaseException, module: str) -> str:
    """Name the last line of the plugin's own package that an error passed; nothing where it passed none."""
    frames = [
        (frame.f_globals.get("__name__", ""), os.path.basename(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [(file, line) for name, file, line in frames if _is_own(str(name), module)]
    return f" ({own[-1][0]}, line {own[-1][1]})" if own and not isinstance(error, PluginError) else ""


def mend_by_pip(distribution: str) -> str:
    """Return the commands that update or remove a distribution."""
    if not distribution:
        return "update the plugin or remove it"
    name = shlex.quote(distribution)
    return f"update the plugin with pip install -U {name}, or remove it with pip uninstall {name}"


def describe(error: BaseException, *, with_type: bool = True) -> str:
    """Put an error on one line. A stranger's may fail even at that."""
    try:
        text = one_line(" ".join(str(error).split()), limit=400)
    except Exception:  # plugin border
        text = ""
    name = type(error).__name__
    return (f"{name}: {text}" if with_type else text) if text else name
