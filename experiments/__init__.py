"""Experiments: RiM and its controls on symbolic tasks, trained and scored by the public commands."""
