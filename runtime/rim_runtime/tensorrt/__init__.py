"""TensorRT plans: built, kept, and run on a device."""
