"""A checkpoint on disk: its folder, its tensors, its family, its prompt."""
