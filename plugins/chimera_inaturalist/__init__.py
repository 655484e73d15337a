"""Plugin: photographs of animals of one's choice, from iNaturalist, as a dataset source."""
