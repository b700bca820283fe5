r"""The prompt contract: exactly which token ids the model sees for a question.

A prompt has five parts, all token ids; only the question varies (DESIGN 3, from the model card's snippet):

    head      `<|im_start|>`
    question  `user\n` + the user's text, tokenized together, because BPE merges across the seam
    tail      `<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n`   (Qwen3)
    blocks    K × [b, m × M, eb]
    prefix    `The final answer is \boxed{`

The exporter derives the contract from a checkpoint's chat template, and the graph composes the prompt.
PromptEncoder (encoder.py) encodes the question. No special token is looked up at run time.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from enum import StrEnum
from typing import SupportsIndex

from rim_runtime.errors import QuestionError


class TextForm(StrEnum):
    """What an answer in words follows."""

    MODEL = "model"
    """What the model was trained for: its blocks and the answer prefix, its latent steps, or the bare question."""
    READOUT = "readout"
    """The blocks, if there are any, and the answer prefix."""
    CHAT = "chat"
    """The question as in a chat, without blocks, prefix and latent steps."""


@dataclass(frozen=True)
class PromptContract:
    """The fixed parts of a prompt and the text that is tokenized together with the question."""

    head: tuple[int, ...]
    """Ids before the question segment; may be empty."""
    question_open: str
    """Template text right before the user's text, tokenized together with it."""
    question_close: str
    """Template text right after the user's text, tokenized together with it."""
    strip: bool
    """Whether the template strips white space around the user's text."""
    tail: tuple[int, ...]
    """Ids between the question segment and the memory blocks."""
    block: tuple[int, ...]
    """One memory block: b, M × m, eb; empty where there are none."""
    blocks: int
    """K: the number of memory blocks in a prompt, by default and at most; 0 for a model without RiM tokens."""
    prefix: tuple[int, ...]
    """Ids of the answer prefix, after the blocks; the letter is read at its last token."""
    prefix_text: str
    """The answer prefix as text."""

    @property
    def fixed_tokens(self) -> int:
        """Number of tokens of a prompt with all blocks, without the question segment."""
        return len(self.head) + len(self.tail) + self.blocks * len(self.block) + len(self.prefix)

    @property
    def memory_tokens(self) -> int:
        """M: memory tokens of a block; 0 where there are no blocks."""
        return max(0, len(self.block) - 2)

    def suffix(self, blocks: int) -> tuple[int, ...]:
        """Return the ids after the question segment for this number of blocks (0..K)."""
        return self.tail + self.check_blocks(blocks) * self.block + self.prefix

    def text_suffix(self, blocks: int, form: TextForm = TextForm.MODEL) -> tuple[int, ...]:
        """Return the ids after the question segment where the answer is text.

        As the model was trained, the text goes on after the prefix where there are memory blocks; a model without
        blocks answers as in a chat, right after the template's tail.
        """
        return self.suffix(blocks) if self.text_prefix(form) else self.tail

    def text_prefix(self, form: TextForm = TextForm.MODEL) -> str:
        """Return the answer prefix with which the prompt of a text ends; empty if it ends without one."""
        has_prefix = form is TextForm.READOUT or (form is TextForm.MODEL and self.blocks > 0)
        return self.prefix_text if has_prefix else ""

    def check_blocks(self, blocks: SupportsIndex) -> int:
        """Return a number of blocks as an int.

        Raises QuestionError unless it is a whole number from 0 to K, of whatever type (numpy has its own).
        """
        count = _whole_number(blocks)
        if count is None or count < 0:
            raise QuestionError(f"Got {blocks!r} blocks, expected a whole number from 0 to {self.blocks}.")
        if count and not self.blocks:
            raise QuestionError(
                f"Got {blocks!r} blocks, and this model has none: it was exported without them. Leave the number "
                "out, or add memory blocks to its checkpoint (rim-edge train) and export that."
            )
        if count > self.blocks:
            raise QuestionError(
                f"Got {blocks!r} blocks, this model has 0 to {self.blocks}. "
                "Choose fewer, or export it with more (--blocks)."
            )
        return count

    def segment(self, question: str) -> str:
        """Return the text that is tokenized as the question segment.

        Raises QuestionError if the question has no visible text or is not Unicode.
        """
        if not question.strip():
            raise QuestionError("The question is empty, expected some text. Write the question in quotes.")
        require_unicode("question", question)
        text = question.strip() if self.strip else question
        return self.question_open + text + self.question_close


def require_unicode(name: str, text: str) -> None:
    """Raise QuestionError unless a text is Unicode: half a character alone is none, and no tokenizer takes it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise QuestionError(
            f"The {name} is not valid Unicode at character {error.start}. Pass UTF-8 text."
        ) from None


def _whole_number(value: SupportsIndex) -> int | None:
    """Return a whole number of any type as an int; None for anything else, True and False included."""
    if isinstance(value, bool) or getattr(value, "dtype", None) == "bool":  # numpy 1 takes its own as an index
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


@dataclass(frozen=True)
class Prompt:
    """One composed prompt, part by part."""

    head: tuple[int, ...]
    """Ids before the question segment."""
    question: tuple[int, ...]
    """Ids of the question segment."""
    tail: tuple[int, ...]
    """Ids between question and blocks."""
    blocks: tuple[int, ...]
    """Ids of the memory blocks that are used."""
    prefix: tuple[int, ...]
    """Ids of the answer prefix."""

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids, in order."""
        return self.head + self.question + self.tail + self.blocks + self.prefix
