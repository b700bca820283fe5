"""QThink beside its controls, on the demo's puzzles."""
