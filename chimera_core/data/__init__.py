"""Data that never waits: framing, the packed cache, batches."""
