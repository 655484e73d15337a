"""Plugin: fusers that learn as generative adversarial networks."""
