"""Leave folders out of what travels: reports, exported files and pictures go to others, the names of folders need not."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

# A path from the root, a home or a drive, with at least one folder in it. Not an address (https://...) and not the middle
# of a relative path. Names with spaces are only known for what they are when the whole text is a path, or in quotes.
_PATH = re.compile(r"(?<![\w/\\.:~%-])(?:~[\w.-]*|[A-Za-z]:)?[/\\]+(?:[^/\\\s'\"`<>|;,:*?]+[/\\]+)+")
_QUOTED = re.compile(r"(['\"])((?:~[\w.-]*|[A-Za-z]:)?[/\\]+(?:[^/\\'\"\n]+[/\\]+)++)(?=[^'\"\n]*\1)")
_ADDRESS = re.compile(r"file://[^\s'\"`<>|;,]*/")
_WHOLE = re.compile(r"(?:~[\w.-]*|[A-Za-z]:)?[/\\](?:[^/\\]*[/\\])*([^/\\]*)[/\\]?")


def without_folders(value: Any, *, keep: Collection[str] = ()) -> Any:
    """Give plain values with every absolute path shortened to its last part, wherever it stands.

    Args:
        value: text, a list, a mapping, or anything else, which is given back. In text that holds more than a path, the
            paths in it are shortened.
        keep: keys of mappings whose values stay as they are.
    """
    if isinstance(value, Mapping):
        return {k: v if k in keep else without_folders(v, keep=keep) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(inner, keep=keep) for inner in value]
    if not isinstance(value, str):
        return value
    if "\n" not in value and (whole := _WHOLE.fullmatch(value)) and "//" not in value:
        return whole[1] or value.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or value
    return _PATH.sub("", _QUOTED.sub(r"\1", _ADDRESS.sub("", value)))
