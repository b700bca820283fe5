"""Encode texts as token ids: questions in their prompt, and what stands alone.

A prompt's ids come from the same contract as at inference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from rim_export.errors import CheckpointError
from rim_runtime.prompt.contract import PromptContract
from tokenizers import Tokenizer

_NFC_SHRINKS = 3
"""The largest factor by which NFC normalisation shortens UTF-8 (UAX #15)."""
_REMEMBERED = 4096
"""Texts whose ids are cached: steps and answers repeat."""


@dataclass(frozen=True)
class TokenSpans:
    """A text's tokens."""

    ids: tuple[int, ...]
    """Their ids."""
    offsets: tuple[tuple[int, int], ...]
    """Where each begins and ends in the text, in characters."""


class TextEncoder:
    """Encodes texts, and questions by the prompt contract of a tokenizer."""

    def __init__(self, tokenizer: Any, contract: PromptContract) -> None:
        self.contract = contract
        self.tokenizer = tokenizer
        if tokenizer.eos_token_id is None:
            raise CheckpointError(
                "The tokenizer names no eos_token, expected the token that ends a turn. Write it into its "
                "tokenizer_config.json."
            )
        self.end_of_turn = int(tokenizer.eos_token_id)
        """Id of the token that ends a turn."""
        self._encoded = lru_cache(_REMEMBERED)(self._encode)

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text that stands alone; added tokens in it stay text."""
        return self._encoded(text)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _plain(self) -> Tokenizer:
        """The tokenizer as bundles have it: without added tokens, special ones or not (Qwen3's `<think>`)."""
        content = json.loads(self.tokenizer.backend_tokenizer.to_str())
        without = content | {"added_tokens": [], "truncation": None, "padding": None}
        return Tokenizer.from_str(json.dumps(without))

    def encode_with_offsets(self, text: str) -> TokenSpans:
        """Return the tokens of a text that the model wrote, with their places in it; its `<think>` is a token."""
        encoded = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        return TokenSpans(tuple(encoded["input_ids"]), tuple(encoded["offset_mapping"]))

    def least_tokens(self, text: str) -> int:
        """Return a number of tokens that a text has at least, without encoding it: that takes seconds per MB."""
        return len(text.encode("utf-8", "surrogatepass")) // (_NFC_SHRINKS * self._longest_token)

    @cached_property
    def _longest_token(self) -> int:
        """Bytes of the longest token; a character of a byte-level token is one byte."""
        return max(map(len, self.tokenizer.get_vocab()))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        return str(self.tokenizer.decode(list(ids)))

    def prompt(self, question: str) -> tuple[int, ...]:
        """Return x: everything before the blocks."""
        contract = self.contract
        return contract.head + self.encode(contract.segment(question)) + contract.tail
