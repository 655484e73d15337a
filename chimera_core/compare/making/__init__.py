"""Processes that make the creatures of a comparison."""
