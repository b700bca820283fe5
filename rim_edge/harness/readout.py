"""What a request of the harness is to a bundle, and the numbers that answer it. Knows nothing of the harness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rim_runtime.errors import InputError


class Readout(StrEnum):
    """How likelihoods come about."""

    LETTERS = "letters"
    """Letters, behind the memory blocks and the answer prefix, in one pass: as `ask` and `eval` read them."""
    TEXT = "text"
    """The tokens of a bare text, as of any model: no chat template, no memory blocks."""


@dataclass(frozen=True)
class Asked:
    """One context, and the letters that were asked for behind it."""

    context: str
    letters: tuple[str, ...]


def by_context(requests: Sequence[tuple[str, str]], known: Sequence[str]) -> list[Asked]:
    """Return the contexts of requests `(context, continuation)`, each with its letters, in order.

    Raises InputError for a continuation that is none of the bundle's letters, and for a context with one letter
    alone: its probability would be 1 whatever the model thinks.
    """
    found: dict[str, dict[str, None]] = {}
    for context, continuation in requests:
        found.setdefault(context, {})[_letter(continuation, known)] = None
    asked = [Asked(context, tuple(letters)) for context, letters in found.items()]
    if lone := next((one for one in asked if len(one.letters) < 2), None):
        raise InputError(
            f"The letter {lone.letters[0]} alone is asked for behind {_short(lone.context)}, expected all letters "
            "of a question: they are read together. Leave metrics out that ask for one (acc_mutual_info)."
        )
    return asked


def log_shares(logits: Mapping[str, float], letters: Sequence[str]) -> dict[str, float]:
    """Return the natural logarithms of the letters' probabilities among these letters."""
    top = max(logits[letter] for letter in letters)
    total = math.log(sum(math.exp(logits[letter] - top) for letter in letters))
    return {letter: logits[letter] - top - total for letter in letters}


def split_spaces(context: str, continuation: str) -> tuple[str, str]:
    """Return both with the white space between them in front of the continuation, where tokenizers have it."""
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation


def _letter(continuation: str, known: Sequence[str]) -> str:
    letter = continuation.strip()
    if letter in known:
        return letter
    raise InputError(
        f"The task asks how likely {_short(continuation)} is, and this bundle reads letters ({known[0]} to "
        f"{known[-1]}), expected a task whose choices are letters. Or score bare text, without memory blocks, "
        "with a bundle that writes text: --model_args readout=text"
    )


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
