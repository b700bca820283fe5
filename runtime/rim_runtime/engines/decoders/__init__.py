"""What runs a bundle's decoder: the interface, ONNX Runtime's CPU provider, and how keys and values are kept."""
