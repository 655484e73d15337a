"""Plugin: ways to train an encoder, plainly or against attacks."""
