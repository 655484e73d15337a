"""A server that answers as a test wants."""

from __future__ import annotations

from toys.unruly_server import impatient, server

__all__ = ["impatient", "server"]
