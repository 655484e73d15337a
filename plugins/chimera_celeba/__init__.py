"""Plugin: the celebrity faces of CelebA as a dataset source."""
