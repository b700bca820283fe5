"""What the verbs of `rim-edge bundle` have in common with nobody else."""
