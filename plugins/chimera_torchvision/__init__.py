"""Plugin: torchvision's classification data sets by name."""
