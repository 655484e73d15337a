"""From an experiment file to runs, and from runs to one report."""
