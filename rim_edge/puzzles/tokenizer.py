r"""The demo's own tokenizer: a small byte-level BPE in which a fact is one token, and so is an answer.

Before BPE the text is cut at facts ("The door in B leads to E", "Ben is older than Dan", " puts in 2"), at options
of one word with the line break in front of them, at capitals A..J, names and digits that stand alone, and at the
ends of sentences; the phrases between merge into one token each. So a puzzle has at most 36 tokens, and facts on
separate lines differ from those in one line by the separators alone. A tiny model learns to look up a fact that
is one token in 200 to 400 steps; with five tokens (room, phrase, room) it was still at chance after 500.
Byte-complete: any text encodes and decodes back (in NFC).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rim_runtime.prompt.options import LETTERS

from rim_edge.puzzles import baskets, ordering, rooms
from rim_edge.puzzles.baskets import draw_basket
from rim_edge.puzzles.ordering import draw_ordering
from rim_edge.puzzles.puzzle import HOPS, LARGEST, NAMES, SMALLEST, Puzzle
from rim_edge.puzzles.rooms import draw_rooms
from rim_edge.puzzles.unanswerable import WORDS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 1045
"""BPE entries: everything that merges; with the six added tokens the embedding has 1,051 rows."""
END_OF_TURN = "<|im_end|>"
"""Ends every turn, answers included."""
PADDING = "<|endoftext|>"
"""Fills rows of a batch; never attended to."""
ADDED_TOKENS = (PADDING, "<|im_start|>", END_OF_TURN, "<rim_b>", "<rim_m>", "<rim_eb>")
"""After the BPE entries, in this order."""
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""ChatML. There is no thinking to switch off, so `enable_thinking` changes nothing."""

_NAMES = "|".join(NAMES)
_OPTION = rf"\n[A-J]: (?:{_NAMES}|\d)(?![^\n])"
_ALONE = rf"(?<![A-Za-z0-9])(?:[A-J]|{_NAMES}|\d)(?![A-Za-z0-9])"
_SENTENCE_END = r"[.!?]?\s*\n\s*(?![A-J]: )|[.!?] +"
_CUTS = "|".join((_OPTION, rooms.FACT, ordering.FACT, baskets.FACT, _ALONE, _SENTENCE_END))
_OF_EACH = 6
_FRAME = "user\n", "assistant\n", "The final answer is \\boxed{", "}", " "


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
    """Yield the texts to merge: every fact and option, the puzzles' phrases, the prompt's frame, common words."""
    yield from _FRAME
    for module in (rooms, ordering, baskets):
        yield from module.facts()
    for letter, said in itertools.product(LETTERS, (*NAMES, *map(str, range(10)))):
        yield f"\n{letter}: {said}"
    yield from (puzzle.question for puzzle in _puzzles())
    yield from (*NAMES, *map(str, range(10)), *(f" {word}" for word in WORDS))


def _puzzles() -> Iterator[Puzzle]:
    """Yield puzzles of every family, size and number of steps, those that only training uses included."""
    rng = random.Random("rim-edge tokenizer")
    for size, hops in itertools.product(range(2, LARGEST + 1), range(1, HOPS + 1)):
        for _ in range(_OF_EACH):
            yield draw_rooms(rng, size, hops)
            yield draw_ordering(rng, size, min(size, hops))
            yield draw_basket(rng, max(size, SMALLEST), hops)
