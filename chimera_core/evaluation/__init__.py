"""Accuracy of an encoder, clean and under attack."""
