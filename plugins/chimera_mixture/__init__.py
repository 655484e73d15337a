"""Plugin: any sources, mixed into one."""
