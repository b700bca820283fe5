"""What `rim-edge export` is told."""
