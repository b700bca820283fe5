"""The embedded demo: its puzzles, its tokenizer, and the script that makes its bundle."""
