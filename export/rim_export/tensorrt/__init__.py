"""TensorRT plans in a bundle: which GPUs, which rules, and the building."""
