"""Plugin: experiment trackers that trainings log to."""
