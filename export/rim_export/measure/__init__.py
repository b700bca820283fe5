"""Run the checkpoint one layer at a time, to get its answers and to measure its activations."""
