"""The checkpoint, one layer at a time: its answers, and what its activations are like."""
