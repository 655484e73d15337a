"""What a set of pictures is worth."""
