"""Questions of an exact length, and their token ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rim_runtime import Bundle, PromptEncoder
from rim_runtime.loading.load import load_encoder

SHORTEST = "Which?\nA: one\nB: two"


def encoder_of(bundle: Path) -> PromptEncoder:
    """Return a bundle's prompt encoder."""
    return load_encoder(Bundle.load(bundle))


def prompt_of(encoder: PromptEncoder, tokens: int, filler: str = "and") -> dict[str, Any]:
    """Return a question whose whole prompt has exactly this many tokens, and the prompt's ids.

    `filler` is a word of one token that fills it up. Raises ValueError where no question is that short.
    """
    text = SHORTEST
    while len(encoder.compose(text).ids) < tokens:
        text = f"{filler} {text}"
    ids = encoder.compose(text).ids
    if len(ids) != tokens:
        raise ValueError(f"no question of {tokens} tokens with {filler!r}: the nearest has {len(ids)}")
    return {"question": text, "ids": list(ids)}
