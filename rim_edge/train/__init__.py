"""Training of RiM models: curriculum, examples, packing, losses, loop, checkpoint. Needs torch."""
