"""Accuracy of a bundle or a checkpoint. Evaluating a bundle needs no torch."""
