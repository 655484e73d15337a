"""Plugin: faces of persons and dogs, and the two collections of dogs by themselves."""
