"""Convert a module to a graph without weights, and edit graphs."""
