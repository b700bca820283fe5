"""Routes that OpenAI's clients call. What cannot be honoured is refused by name, never left out in silence."""
