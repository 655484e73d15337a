"""Numbers, times, lists and Markdown as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from chimera_core.files.atomic import clean_lines, one_line


def show(value: float | None) -> str:
    """Write a figure for people: three digits that matter, at most three behind the point."""
    if value is None:
        return "n/a"
    if abs(value) >= 10000:
        return f"{value:.2g}"
    if 1e-12 < abs(value) < 0.0005:  # less is rounding
        return "<0.001" if value > 0 else ">\N{MINUS SIGN}0.001"
    value = value if abs(value) > 1e-12 else 0.0
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
    return text.replace("-", "\N{MINUS SIGN}")


def show_seconds(value: float | None) -> str:
    """Write a time: ``4 ms``, ``1.3 s``, ``12 min``, ``2.5 h``."""
    if value is None:
        return "n/a"
    if value < 0.9995e-3:
        return "under 1 ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 119.5:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7170 else f"{value / 3600:.1f} h"


def listed(names: Iterable[str], *, most: int = 6) -> str:
    """Join names as people do: ``a, b and c``; ``a, b and 12 more``."""
    given = list(names)
    if len(given) > most:
        given = [*given[: most - 1], f"{len(given) - most + 1} more"]
    return " and ".join(part for part in (", ".join(given[:-1]), *given[-1:]) if part)


def counted(number: int, one: str, many: str = "") -> str:
    """Write ``1 pair`` or ``12 pairs``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def compact(number: int) -> str:
    """Write a large number short: ``950``, ``12 k``, ``3.4 M``, ``25 M``."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.1f}{unit}" if number < 10 * size else f"{number / size:.0f}{unit}"
    return str(number)


class Fenced(str):
    """A block of code, fenced so that nothing in it ends the block."""


def escape_markdown(value: Any) -> Any:
    """Escape a value so that it is plain text on one line, also in a table and for readers that render HTML."""
    if isinstance(value, Fenced):
        return value
    if not isinstance(value, str):
        value = "" if value is None else str(value)
    line = one_line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # + and - mark something only at the start of an item; a link needs its brackets.
    return re.sub(r"^[-+]|[\\`*_{}\[\]#|~$]", r"\\\g<0>", line)


def fenced(text: str, language: str = "") -> Fenced:
    """Wrap text in a fence longer than any run of backticks inside it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Fenced(f"{fence}{language}\n{clean_lines(text.rstrip())}\n{fence}")
