"""Training runs: the loop, its state, and its processes. Needs torch."""
