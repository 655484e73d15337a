"""The parts of a training loop: randomness, precision, checkpoints, progress."""
