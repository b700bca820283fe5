r"""The demo's own tokenizer: a small byte-level BPE in which a told fact is one token, and so is a room.

Before BPE the text is cut at facts ("The door in B leads to E"), at capitals A..J that stand alone, without
the space in front of them, and at the ends of sentences; the phrases between merge into one token each. So a
puzzle has 27 tokens, and facts on separate lines differ from those in one line by the separators alone. A
tiny model learns to look up a fact that is one token in 200 to 400 steps; told in five tokens (room, phrase, room)
the same model was still at chance after 500. Byte-complete: any text encodes and decodes back (in NFC).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rim_runtime.options import LETTERS

from rim_edge.demo.puzzles import ROOMS, Doors, draw_layout

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 458
"""BPE entries; with the six added tokens the embedding has 464 rows."""
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

_FACT = r"The door in [A-J] leads to [A-J](?![A-Za-z0-9])"
_ROOM = r"(?<![A-Za-z0-9])[A-J](?![A-Za-z0-9])"
_SENTENCE_END = r"[.!?]?\s*\n\s*|[.!?] +"
_CUTS = f"{_FACT}|{_ROOM}|{_SENTENCE_END}"
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
        yield draw_layout(rng, Doors.ANY, separator="\n" if index % 8 == 0 else " ").puzzle().question
        yield from _COMMON_WORDS
        yield "\n".join(f"{letter}: {letter}" for letter in LETTERS[: len(ROOMS)])
