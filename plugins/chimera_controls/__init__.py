"""Controls: what a method must beat before it may be called a way to fuse animals."""
