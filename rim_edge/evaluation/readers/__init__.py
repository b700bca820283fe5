"""What reads answers: of a bundle without torch, of a checkpoint in torch."""
