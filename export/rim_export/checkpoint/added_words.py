"""Words that were added to a tokenizer's vocabulary: a bundle's tokenizer cannot have them."""

from __future__ import annotations

from typing import Any

from rim_export.errors import UnsupportedModelError

_CONTROL = frozenset("<>[]{}|")
"""Control tokens are written with these; in a user's text they stay text."""
_NAMED = 5


def refuse_added_words(tokenizer: Any) -> None:
    """Raise UnsupportedModelError if added tokens are plain text, which users write.

    A bundle's tokenizer has no added tokens, so that no text becomes a control token. Without its added words the
    model would read other tokens than it was trained on.
    """
    added = tokenizer.added_tokens_decoder.values()
    words = [str(token) for token in added if not token.special and _CONTROL.isdisjoint(str(token))]
    if words:
        more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
        raise UnsupportedModelError(
            f"Words were added to the tokenizer's vocabulary: {', '.join(map(repr, words[:_NAMED]))}{more}. A "
            "bundle's tokenizer has no added tokens, so the model would read these words in other tokens than it "
            "was trained on. Train it with its base model's vocabulary."
        )
