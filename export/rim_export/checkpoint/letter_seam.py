"""Whether a letter behind the answer prefix is, in text, the token that is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def letter_seam_note(tokenizer: Any, prefix: str, letters: Mapping[str, int]) -> str | None:
    """Return a note if prefix and letter together are other tokens than the prefix's and the letter's; else None.

    A model that was trained on text saw those tokens, and gives the letter's own little probability. So it is with
    a prefix that ends in a space, where BPE puts the space to the letter.
    """
    before = _encode(tokenizer, prefix)
    other = [
        letter for letter, token in letters.items() if _encode(tokenizer, prefix + letter) != [*before, token]
    ]
    if not other:
        return None
    return (
        f"Behind the prefix {prefix!r} the letters {', '.join(other)} are other tokens in text than those that "
        "are read. A model that was not trained to answer behind it may give them little probability: take the "
        "prefix that it was trained with (--prefix)."
    )


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))
