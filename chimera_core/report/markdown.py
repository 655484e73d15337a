"""Names of files in Markdown: text, whatever they contain."""

from __future__ import annotations

import re
from typing import Any

from chimera_core.files.atomic import clean_lines, one_line


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
