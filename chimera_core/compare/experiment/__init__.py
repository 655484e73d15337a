"""From an experiment file to the cells of a comparison."""
