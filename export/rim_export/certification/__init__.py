"""Whether a variant answers like the checkpoint: evaluated, compared, certified."""
