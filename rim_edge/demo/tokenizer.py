r"""The demo's own tokenizer: a small byte-level BPE that gives every room one token of its own.

A standing-alone capital A..J is cut out before BPE, without the space in front of it, so that the room in a
fact has the same id as the letter in the answer. What stands between the rooms ("The door in ", " leads to ")
merges into one token each: a fact costs five tokens, `The door in |B| leads to |E|. `. Byte-complete: any
text encodes and decodes back (in NFC).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rim_runtime.options import LETTERS

from rim_edge.demo.puzzles import ROOMS, Doors, draw_layout

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 378
"""BPE entries; with the six added tokens the embedding has 384 rows."""
END_OF_TURN = "<|im_end|>"
"""Ends every turn, so also an answer."""
PADDING = "<|endoftext|>"
"""Fills rows of a batch; never attended to."""
ADDED_TOKENS = (PADDING, "<|im_start|>", END_OF_TURN, "<rim_b>", "<rim_m>", "<rim_eb>")
"""Behind the BPE entries, in this order."""
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""ChatML. There is no thinking to switch off, so `enable_thinking` changes nothing."""

_CUTS = r"(?<![A-Za-z0-9])[A-J](?![A-Za-z0-9])|[.!?]?\s*\n\s*|[.!?] +"
_COMMON_WORDS = "user\n", "assistant\n", "The final answer is \\boxed{", "}", " ", "A: ", "B: ", "C: ", "D: "


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer on seeded puzzles; the same bytes on every run."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = Sequence(
        [Split(Regex(_CUTS), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False
    )
    backend.train_from_iterator(_corpus(), trainer)
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in ADDED_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END_OF_TURN,
        pad_token=PADDING,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


def _corpus() -> Iterator[str]:
    """Yield what is to merge: the puzzles' own phrases, the frame of the prompt, and some option lines."""
    import random

    rng = random.Random("rim-edge tokenizer")
    for index in range(256):
        yield draw_layout(rng, Doors.ANY, "\n" if index % 8 == 0 else " ").puzzle().question
        yield from _COMMON_WORDS
        yield "\n".join(f"{letter}: {letter}" for letter in LETTERS[: len(ROOMS)])
