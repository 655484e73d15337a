"""The parts of a training loop: launch, precision, optimizers, EMA, checkpoints, guard, metrics, clock, interrupts.

A library, not a framework: ``encoder_loop`` calls them one after the other and reads from top to bottom.
"""
