"""The animals in photographs: where they are, and how to draw on them."""
