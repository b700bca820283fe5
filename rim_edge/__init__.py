"""Train, export and ask RiM models: the command line and the trainer."""
