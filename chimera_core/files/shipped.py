"""Files that come with the toolkit and are no modules: in the wheel beside the core, in a checkout at its root."""

from __future__ import annotations

from pathlib import Path


def shipped_path(name: str) -> Path:
    """Say where a file or folder of ours lies.

    Args:
        name: from the root of a checkout: ``registry.toml``, ``LICENSE``, ``examples/plugins``.
    """
    core = Path(__file__).resolve().parents[1]
    packaged = core / name
    return packaged if packaged.exists() else core.parent / name
