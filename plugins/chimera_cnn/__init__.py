"""Plugin: small convolutional networks as encoders, the first report's among them."""
