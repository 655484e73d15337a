"""Adversarial attacks in pixel space, and what an encoder is worth under them."""
