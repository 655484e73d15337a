"""Tiny components that keep their contracts, for tests of what lies around them."""
