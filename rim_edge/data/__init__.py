"""From files of rows to training examples."""
