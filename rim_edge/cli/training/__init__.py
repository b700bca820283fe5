"""The options of `rim-edge train`, and what it says before the first step."""
