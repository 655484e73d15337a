"""Plugin: the handwritten digits of MNIST as a dataset source."""
