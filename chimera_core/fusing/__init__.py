"""From parents and weights to chimeras."""
