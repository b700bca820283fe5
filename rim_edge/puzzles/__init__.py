"""The demo's puzzles: drawn, told in plain English, and their tokenizer."""
