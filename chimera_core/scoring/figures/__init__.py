"""What one creature is worth, one figure a file."""
