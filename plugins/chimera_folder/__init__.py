"""Plugin: folders of images as a dataset source."""
