"""What runs a trace: the interface, and ONNX Runtime."""
