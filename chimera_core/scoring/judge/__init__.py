"""Judges: encoders that look at pictures for a score."""
