"""Made-up things that several tests and benchmarks read."""
