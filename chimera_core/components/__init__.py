"""From a name and options to a component of a plugin."""
