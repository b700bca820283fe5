"""Encode a question to its token ids, by a contract and a tokenizer without added tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from rim_runtime.errors import BundleCorruptError, QuestionTooLongError
from rim_runtime.prompt.contract import Prompt, PromptContract, TextForm, require_unicode
from rim_runtime.prompt.token_reader import TokenReader
from rim_runtime.prompt.tokenizer_errors import tokenizer_errors

_HUGE_BYTES = 100_000
"""Texts of up to this size are always encoded; it takes only a moment."""
_NFC_SHRINKS = 3
"""The largest factor by which NFC normalisation shortens UTF-8: three Hangul jamo become one syllable."""


class PromptEncoder:
    """Encodes questions by a contract and a tokenizer without added tokens. Thread-safe."""

    def __init__(self, contract: PromptContract, tokenizer: Tokenizer, question_limit: int) -> None:
        self.contract = contract
        self.question_limit = question_limit
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, contract: PromptContract, tokenizer_file: Path, question_limit: int) -> PromptEncoder:
        """Read `tokenizer.json`. Raises OSError, and what `from_json` raises."""
        return cls.from_json(contract, tokenizer_file.read_bytes(), question_limit, str(tokenizer_file))

    @classmethod
    def from_json(
        cls, contract: PromptContract, tokenizer: bytes, question_limit: int, where: str
    ) -> PromptEncoder:
        """Take the content of `tokenizer.json`; `where` names the file in errors.

        Raises BundleCorruptError if it cannot be read, has added tokens, or would cut or pad a question.
        """
        with tokenizer_errors(f"{where} is no tokenizer that can be read"):
            made = Tokenizer.from_buffer(tokenizer)
        if made.truncation or made.padding:
            raise BundleCorruptError(
                f"{where} cuts or pads what it encodes, expected neither. Export the bundle again."
            )
        if made.get_added_tokens_decoder():
            raise BundleCorruptError(
                f"{where} has added tokens, so a question could turn into control tokens. Export the bundle again."
            )
        return cls(contract, made, question_limit)

    def with_contract(self, contract: PromptContract) -> PromptEncoder:
        """Return an encoder by another contract, with the same tokenizer and limit."""
        return PromptEncoder(contract, self._tokenizer, self.question_limit)

    def encode(self, question: str) -> tuple[int, ...]:
        """Return the ids of the question segment.

        Raises QuestionError (empty, not Unicode) and QuestionTooLongError; nothing is ever truncated.
        """
        segment = self.contract.segment(question)
        self._refuse_huge(segment)
        with tokenizer_errors("The bundle's tokenizer fails on this question"):
            ids = tuple(self._tokenizer.encode(segment, add_special_tokens=False).ids)
        if len(ids) > self.question_limit:
            raise QuestionTooLongError(len(ids), self.question_limit)
        return ids

    def _refuse_huge(self, segment: str) -> None:
        """Refuse, without encoding, what must be too long: encoding takes seconds per MB and blocks threads."""
        size = len(segment.encode())
        if size <= _HUGE_BYTES:
            return
        least = size // (_NFC_SHRINKS * self._longest_token)
        if least > self.question_limit:
            raise QuestionTooLongError(least, self.question_limit, or_more=True)

    @cached_property
    def _longest_token(self) -> int:
        """Bytes of the longest token; a character of a byte-level token is one byte."""
        return max(map(len, self._tokenizer.get_vocab()))

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return each token as text for display; a part of a character is shown as `\ufffd`."""
        return tuple(self._tokenizer.decode([token], skip_special_tokens=False) for token in ids)

    def compose(self, question: str, blocks: int | None = None) -> Prompt:
        """Return the whole prompt as the graph composes it; `blocks` None means all K."""
        contract = self.contract
        count = contract.check_blocks(contract.blocks if blocks is None else blocks)
        return Prompt(contract.head, self.encode(question), contract.tail, count * contract.block, contract.prefix)

    def compose_text(self, question: str, blocks: int, form: TextForm = TextForm.MODEL) -> tuple[int, ...]:
        """Return the ids of the whole prompt of a text answer (`PromptContract.text_suffix`)."""
        return (*self.contract.head, *self.encode(question), *self.contract.text_suffix(blocks, form))

    def encode_answer(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text that stands behind a prompt, or alone, however long it is.

        Raises QuestionError where it is not Unicode.
        """
        require_unicode("text", text)
        with tokenizer_errors("The bundle's tokenizer fails on this text"):
            return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def reader(self) -> TokenReader:
        """Return what turns tokens of a new text into characters, as they come."""
        return TokenReader(self._tokenizer)
