"""Load a bundle into a tested engine: candidates, fallback order, golden questions."""
