"""What `rim-edge eval` is told, and how it goes about it."""
