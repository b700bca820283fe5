"""TensorRT plans in a bundle: their target GPUs, the rules for graphs, and the build."""
