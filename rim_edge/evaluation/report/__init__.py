"""What comes of answers: saved rows, comparisons, the card's table."""
