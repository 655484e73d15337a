"""What a training loop is made of, one thing a file."""
