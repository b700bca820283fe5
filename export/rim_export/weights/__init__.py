"""A checkpoint's tensors for graphs, and the files they are written to."""
