"""What a model would answer after every memory block: the results, and how they are read."""
