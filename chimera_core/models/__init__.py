"""Trained things with a name: files of weights, exported encoders and fusers, runs."""
