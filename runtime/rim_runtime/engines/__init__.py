"""What can run a bundle's graph: one file an engine, and what they share."""
