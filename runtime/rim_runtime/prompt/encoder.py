"""From a question to its token ids, by a contract and a tokenizer without added tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from rim_runtime.errors import BundleCorruptError, QuestionTooLongError
from rim_runtime.prompt.contract import Prompt, PromptContract


class PromptEncoder:
    """Encodes questions by a contract and a tokenizer without added tokens. Thread-safe."""

    def __init__(self, contract: PromptContract, tokenizer: Tokenizer, question_limit: int) -> None:
        self.contract = contract
        self.question_limit = question_limit
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, contract: PromptContract, tokenizer_file: Path, question_limit: int) -> PromptEncoder:
        """Read `tokenizer.json`. Raises BundleCorruptError if it cannot be read or still has added tokens."""
        try:
            tokenizer = Tokenizer.from_file(str(tokenizer_file))
        except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception)
            raise BundleCorruptError(
                f"{tokenizer_file} is no tokenizer that can be read ({error}). Export the bundle again."
            ) from None
        if tokenizer.get_added_tokens_decoder():
            raise BundleCorruptError(
                f"{tokenizer_file} has added tokens, so a question could turn into control tokens. "
                "Export the bundle again."
            )
        return cls(contract, tokenizer, question_limit)

    def encode(self, question: str) -> tuple[int, ...]:
        """Return the ids of the question segment.

        Raises QuestionError (empty, not Unicode) and QuestionTooLongError; nothing is ever truncated.
        """
        segment = self.contract.segment(question)
        ids = tuple(self._tokenizer.encode(segment, add_special_tokens=False).ids)
        if len(ids) > self.question_limit:
            raise QuestionTooLongError(len(ids), self.question_limit)
        return ids

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return each token as text, for people to read; a piece of a character shows as `\ufffd`."""
        return tuple(self._tokenizer.decode([token], skip_special_tokens=False) for token in ids)

    def compose(self, question: str, blocks: int | None = None) -> Prompt:
        """Return the whole prompt as the graph composes it; `blocks` None means all K."""
        contract = self.contract
        count = contract.blocks if blocks is None else blocks
        contract.check_blocks(count)
        return Prompt(contract.head, self.encode(question), contract.tail, count * contract.block, contract.prefix)
