"""Precisions as data: how each writes a graph's weights, and how its arithmetic is emulated."""
