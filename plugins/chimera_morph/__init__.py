"""Plugin: morphs one photograph's animal toward others in an encoder's features."""
