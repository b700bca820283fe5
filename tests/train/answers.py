"""The answers of a checkpoint, each item's in its own way."""

from rim_edge.evaluation.checkpoint_answers import letters_read, texts_read


def answers_read(model, encoder, items, blocks):
    """Return each item's answer with so many blocks: a letter is read, an open answer is written."""
    letters = [item for item in items if item.letters]
    texts = [item for item in items if not item.letters]
    read = iter(letters_read(model, encoder, letters, blocks) if letters else [])
    written = iter(texts_read(model, encoder, texts, blocks) if texts else [])
    return [next(read) if item.letters else next(written) for item in items]
