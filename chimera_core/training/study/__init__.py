"""One training per domain, and what it shows."""
