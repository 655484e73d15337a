"""Fuser ``parts``: the body of one animal with the head of another."""
