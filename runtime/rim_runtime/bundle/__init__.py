"""A bundle on disk: what it says about itself, its files, and whether it is trusted."""
