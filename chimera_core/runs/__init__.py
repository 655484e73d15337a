"""The format of a run folder on disk; knows no training."""
