"""From scores to what a comparison shows."""
