"""What `ask` is asked: a text, rows of JSON one after another, or a conversation on a terminal."""
