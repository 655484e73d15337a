"""Plugin: any model of the ``timm`` library as a feature encoder."""
