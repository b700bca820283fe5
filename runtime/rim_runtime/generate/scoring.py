"""How probable a model finds the tokens of a text: what evaluation clients ask for (echo and logprobs).

The text stands alone: no chat template, no memory blocks. Tokens are read one by one, so that the model says
something of each: a text costs what writing it would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rim_runtime.engines.backend import Floats
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.errors import BrokenLogitsError, InputError, QuestionError
from rim_runtime.generate.author import Author


@dataclass(frozen=True)
class ScoredToken:
    """One token, and how probable it was behind those before it."""

    id: int
    """The token."""
    text: str
    """It as text; a part of a character is shown as `\\ufffd`."""
    logprob: float | None
    """The natural logarithm of its probability; None of the first, before which there is nothing."""
    top: Mapping[int, float]
    """The likeliest tokens in its place and their logprobs, the likeliest first; empty where none are wanted."""
    written: bool = False
    """Whether the model wrote it, the likeliest one, behind the text that was given."""


def score(
    author: Author,
    text: str | Sequence[int],
    positions: int,
    *,
    more: int = 0,
    top: int = 0,
    cancel: Cancellation | None = None,
) -> tuple[ScoredToken, ...]:
    """Return the tokens of a text, or of its ids, then `more` that the model writes; it has so many `positions`.

    Writing ends at the token that ends a turn, which is not among them. Raises InputError for ids or numbers that
    are none, QuestionError for what is not Unicode or has no room, and what decoding does.
    """
    ids = author.encoder.encode_answer(text) if isinstance(text, str) else _ids(text)
    _check(ids, author.decoding.vocabulary, positions, more, top)
    with author.run():
        state, step = author.decoder.start(ids[:1], len(ids) + more, cancel)
    found = [_token(author, ids[0], None, 0)]
    for number in range(1, len(ids) + more):
        logits = step.logits[0]
        if not np.isfinite(logits).all():
            raise BrokenLogitsError(author.decoder.name, author.decoder.precision)
        is_given = number < len(ids)
        token = ids[number] if is_given else int(logits.argmax())
        if not is_given and token in author.decoding.stop_ids:
            break
        found.append(_token(author, token, logits, top, written=not is_given))
        if number + 1 < len(ids) + more:
            with author.run():
                step = author.decoder.step(state, np.array([token], np.int64), cancel=cancel)
    return tuple(found)


def _token(author: Author, token: int, logits: Floats | None, top: int, *, written: bool = False) -> ScoredToken:
    (text,) = author.encoder.token_texts([token])
    shown = author.decoding.shown_tokens.get(str(token), text)
    if logits is None:
        return ScoredToken(token, shown, None, {})
    shares = _log_softmax(logits)
    best = np.argsort(-shares, kind="stable")[:top].tolist()
    return ScoredToken(token, shown, float(shares[token]), {one: float(shares[one]) for one in best}, written)


def _log_softmax(logits: Floats) -> Floats:
    """Return log-probabilities, in float64: a vocabulary's sum loses digits in float32."""
    wide = logits.astype(np.float64) - float(logits.max())
    shares: Floats = wide - np.log(np.exp(wide).sum())
    return shares


def _ids(given: Sequence[int]) -> tuple[int, ...]:
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise InputError(f"The text is a {type(given).__name__}, expected a text or a list of token ids.")
    return tuple(given)


def _check(ids: Sequence[int], vocabulary: int, positions: int, more: int, top: int) -> None:
    if not ids:
        raise QuestionError("The text has no tokens, expected one at least.")
    if not all(type(one) is int and 0 <= one < vocabulary for one in ids):
        raise InputError(f"The tokens are not all ids from 0 to {vocabulary - 1:,}, expected this bundle's own.")
    for name, value in (("more", more), ("top", top)):
        if type(value) is not int or value < 0:
            raise InputError(f"{name} is {value!r}, expected a whole number from 0.")
    if len(ids) + more > positions:
        raise QuestionError(
            f"The text has {len(ids):,} tokens, and {more:,} more are asked for: the model has {positions:,} "
            "positions. Shorten it."
        )
