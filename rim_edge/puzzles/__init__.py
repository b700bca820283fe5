"""The demo's puzzles in plain English, and their tokenizer."""
