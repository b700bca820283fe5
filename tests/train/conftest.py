"""Tiny models, samples and files for the training tests."""

import random

import pytest
import torch
from rim_export.checkpoint.prompt import RimSettings, derive_contract
from transformers import Qwen3Config, Qwen3ForCausalLM

from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.puzzles.tokenizer import build_tokenizer


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="session")
def encoder(tokenizer):
    return ExampleEncoder(tokenizer, derive_contract(tokenizer, RimSettings(blocks=4)))


@pytest.fixture(scope="session")
def tiny_model():
    """Return a function that makes a random Qwen3, with weights large enough that differences would show."""

    def make(seed=0, vocabulary=64, tied=True):
        torch.manual_seed(seed)
        config = Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            intermediate_size=48,
            max_position_embeddings=512,
            tie_word_embeddings=tied,
            initializer_range=0.3,
            attn_implementation="sdpa",
        )
        return Qwen3ForCausalLM(config).eval()

    return make


@pytest.fixture
def rng(request):
    return random.Random(request.node.name)
