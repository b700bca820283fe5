"""A language of symbols: its tokenizer, and a small Qwen3 that has not learnt anything yet.

A told fact (`A>F`) is one token: told in several, a model of this size was still at chance after 500 steps of
looking facts up. White space separates and is no token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rim_export.checkpoint.prompt import RimSettings
    from transformers import PreTrainedTokenizerFast

PREFIX = "{"
"""What stands between the blocks, or the written steps, and the answer."""
LETTERS = "ABCDEFGHIJ"
"""The letters that `rim-edge eval` reads; each is a word of every language here."""
_FRAME = ("<unk>", PREFIX, "}", "?", *LETTERS)
_PADDING, _START, _END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_TEMPLATE = "{%- for message in messages %}{{- '<|im_start|>' + message['content'] + '<|im_end|>' }}{%- endfor %}"


def build_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a language of these words, besides letters and brackets; a longer word wins."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models
    from tokenizers.pre_tokenizers import Sequence as Turns
    from tokenizers.pre_tokenizers import Split, WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    every = list(dict.fromkeys([*_FRAME, *words]))
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(every)}, unk_token=every[0]))
    cuts = "|".join(_literal(word) for word in sorted(every[1:], key=len, reverse=True))
    backend.pre_tokenizer = Turns([WhitespaceSplit(), Split(Regex(cuts), "isolated")])
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in (_PADDING, _START, _END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=every[0],
        pad_token=_PADDING,
        eos_token=_END,
        chat_template=_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def write_start(
    folder: Path, words: Sequence[str], config: Mapping[str, object], seed: int, rim: RimSettings | None = None
) -> None:
    """Write a random Qwen3 of this configuration and the language's tokenizer as a transformers folder.

    `rim` is what its config.json says of blocks; None leaves that to the recipes. Raises StorageError where the
    folder exists.
    """
    import torch
    from rim_runtime.machine.storage import new_folder
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = build_tokenizer(words)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            **config,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            tie_word_embeddings=True,
            **({} if rim is None else {"rim": rim.to_config()}),
        )
    )
    with new_folder(folder) as made:
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)


def _literal(word: str) -> str:
    return "".join(f"\\{sign}" if not sign.isalnum() else sign for sign in word)
