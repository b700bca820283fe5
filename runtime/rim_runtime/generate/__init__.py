"""Text answers: tokens drawn from a decoder's logits, read as characters as they come, until the text ends."""
