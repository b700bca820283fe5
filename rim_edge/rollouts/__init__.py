"""Rollouts: written solutions of a checkpoint, and the states that latent steps learn from (QThink)."""
