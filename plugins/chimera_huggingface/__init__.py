"""Plugin: image-classification data sets of the `datasets` library, from its hub or from disk."""
