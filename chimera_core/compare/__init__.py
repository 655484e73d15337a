"""From an experiment file to runs of many fusers on the same parents, and to tables of what came out."""
