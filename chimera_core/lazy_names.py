"""Names of a module that resolve on first use (PEP 562): those that it imports for type checkers alone."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any


def import_name(module: str, name: str) -> Any:
    """Import a name from where its module imports it for type checkers; for a module's ``__getattr__``.

    Raises:
        AttributeError: if the module imports no such name.
    """
    # Python itself asks every module for __path__, and the like.
    origin = None if name.startswith("__") else _origins(module).get(name)
    if origin is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return getattr(importlib.import_module(origin), name)


@functools.cache
def _origins(module: str) -> dict[str, str]:
    """Read from a module's source which names it imports from where, so that each is written down once."""
    import ast

    loader: Any = sys.modules[module].__loader__
    nodes = ast.walk(ast.parse(loader.get_source(module)))
    found = (node for node in nodes if isinstance(node, ast.ImportFrom) and node.module)
    return {alias.name: str(node.module) for node in found for alias in node.names}
