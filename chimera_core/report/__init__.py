"""The page of a comparison; reads `comparison.json` and nothing else."""
