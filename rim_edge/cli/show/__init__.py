"""Output for people: answers and training progress."""
