"""A checkpoint's tensors as graphs use them, and the files they are written to."""
