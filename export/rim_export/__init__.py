"""Checkpoint to verified bundle: trace, quantize, certify, package."""
