"""What every worker that writes answers with: a prompt read, then so many tokens, the likeliest each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from serving import Ask, Prompt


class Writer(Protocol):
    """A model that writes. Tokens that end a text are written like others."""

    def start(self, ids: Sequence[int], rows: int, tokens: int) -> list[int]:
        """Read a prompt, with room for so many tokens; return the first token of each of the equal rows."""

    def step(self, tokens: Sequence[int]) -> list[int]:
        """Read a token a row; return the next ones."""


def written(writer: Writer, prompt: Prompt, rows: int) -> dict[str, Any]:
    """Return seconds to the first token and of all further ones, how many these are, and the first row's text."""
    began = time.perf_counter()
    tokens = writer.start(prompt["ids"], rows, prompt["tokens"])
    first = time.perf_counter()
    text = [tokens[0]]
    for _ in range(prompt["tokens"]):
        tokens = writer.step(tokens)
        text.append(tokens[0])
    done = time.perf_counter()
    return {"first_s": first - began, "decode_s": done - first, "tokens": prompt["tokens"] * rows, "text": text}


def asks_of(writer: Writer) -> dict[str, Ask]:
    """Return what a worker is asked: one text, and as many at once as the prompt says."""
    return {
        "one": lambda prompt: written(writer, prompt, 1),
        "many": lambda prompt: written(writer, prompt, prompt["samples"]),
    }
