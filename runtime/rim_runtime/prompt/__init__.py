"""The prompt contract: exactly which token ids the model sees for a question."""
