"""Plugin: style transfer between photographs, the animal's coat only."""
