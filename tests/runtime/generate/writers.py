"""Engines that write what a test tells them."""

from __future__ import annotations

import dataclasses
from typing import Any

from rim_runtime import Engine, FakeBackend, FakeDecoder, PromptEncoder
from rim_runtime.testing import byte_tokenizer, fake_engine
from tokenizers import Tokenizer, decoders, models, pre_tokenizers


def writing(decoder: FakeDecoder, tokenizer: Tokenizer | None = None, **changed: Any) -> Engine:
    """Return an engine that writes, with a changed manifest."""
    manifest = dataclasses.replace(fake_engine(decoder=decoder).manifest, **changed)
    encoder = PromptEncoder(manifest.prompt, tokenizer or byte_tokenizer(), manifest.limits.question_tokens)
    return Engine(manifest, encoder, FakeBackend(), open_decoder=lambda cancel: decoder)


def merging_tokenizer(*pairs: str) -> Tokenizer:
    """Return a byte tokenizer in which pairs of characters are tokens, in the places of the rarest bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate([*alphabet[: -len(pairs)], *pairs])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(pair[0], pair[1]) for pair in pairs]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
