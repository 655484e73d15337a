"""Which plugins there are, what they offer, and what is wrong with those that fail."""
