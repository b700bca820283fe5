"""QThink: latent steps before a text, taught by the states of written rollouts."""
