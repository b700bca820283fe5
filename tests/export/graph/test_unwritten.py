"""A skeleton takes no memory for large weights: not even reserved, which Windows and strict systems refuse."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from rim_export.graph.skeleton import skeleton
from rim_export.graph.unwritten import LARGE, WithoutMemory
from transformers import LlamaConfig

MORE = 2 << 30
"""Bytes that the process may reserve besides what it has; the model's table and head would take 8 GiB each."""


@contextmanager
def limited(more: int) -> Iterator[None]:
    """Let this process reserve so many bytes more."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what a process may reserve")
def test_a_model_with_a_large_vocabulary_takes_little_memory() -> None:
    config = LlamaConfig(
        vocab_size=2**22,
        hidden_size=512,
        intermediate_size=4096,
        num_hidden_layers=2,
        num_attention_heads=4,
        pad_token_id=3,
        tie_word_embeddings=False,
    )
    with limited(MORE):
        model = skeleton(config)
    assert model.get_input_embeddings().weight.shape == model.lm_head.weight.shape == (2**22, 512)
    assert model.model.norm.weight.untyped_storage().nbytes() == 4 * 512, "small ones have their own memory"


def test_large_tensors_alone_share_their_rows() -> None:
    with WithoutMemory():
        large, small = torch.empty(LARGE, 2), torch.empty((8, 2))
    assert large.shape == (LARGE, 2)
    assert large.untyped_storage().nbytes() == 8
    assert small.untyped_storage().nbytes() == 64
    assert torch.empty(LARGE, 2).untyped_storage().nbytes() == 8 * LARGE
