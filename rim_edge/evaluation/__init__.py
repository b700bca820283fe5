"""Accuracy of a bundle or a checkpoint. What asks a bundle needs no torch."""
