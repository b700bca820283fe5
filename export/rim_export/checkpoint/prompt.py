r"""Derive the prompt contract from a checkpoint's own tokenizer and chat template.

The template is rendered with a sentinel in the question's place and split there. The question segment is all text
between the last added token before the sentinel and the first one after it. Inside it, BPE may merge across the
boundaries; outside it, added tokens separate the text, so the parts' ids can be concatenated (DESIGN 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.options import LETTERS

from rim_export.checkpoint.template_trial import refuse_endless_template
from rim_export.errors import CheckpointError

CARD_BLOCKS = 8
CARD_MEMORY_TOKENS = 2
CARD_PREFIX = "The final answer is \\boxed{"
MOST_BLOCK_TOKENS = 2**17
"""Tokens of all blocks together at most: no supported model has more positions than a few times that."""
RIM_TOKENS = ("<rim_b>", "<rim_m>", "<rim_eb>")

_SENTINEL = "\ue000question\ue000"


@dataclass(frozen=True)
class RimSettings:
    """Settings that a checkpoint need not contain: its blocks and its answer prefix (the card's by default)."""

    blocks: int = CARD_BLOCKS
    """K, the number of memory blocks."""
    memory_tokens: int = CARD_MEMORY_TOKENS
    """M, the `<rim_m>` tokens in a block."""
    prefix: str = CARD_PREFIX
    """The answer prefix after the blocks."""
    tokens: tuple[str, str, str] = RIM_TOKENS
    """Names of the begin, memory and end tokens."""

    def __post_init__(self) -> None:
        for name, value in (("blocks", self.blocks), ("memory_tokens", self.memory_tokens)):
            if type(value) is not int or not 1 <= value <= MOST_BLOCK_TOKENS:
                is_beyond = type(value) is int and value > 1
                bound = f"at most {MOST_BLOCK_TOKENS:,}" if is_beyond else "at least 1"
                raise CheckpointError(f"rim.{name} is {_shown(value)}, expected a whole number of {bound}.")
        if (taken := self.blocks * (self.memory_tokens + 2)) > MOST_BLOCK_TOKENS:
            raise CheckpointError(
                f"rim.blocks is {self.blocks:,} and rim.memory_tokens {self.memory_tokens:,}, so the blocks take "
                f"{taken:,} tokens, expected at most {MOST_BLOCK_TOKENS:,}. Take fewer, or shorter ones."
            )
        if not isinstance(self.prefix, str) or not self.prefix:
            raise CheckpointError(f"rim.prefix is {self.prefix!r}, expected some text.")
        if (
            not isinstance(self.tokens, tuple)
            or len(self.tokens) != 3
            or not all(isinstance(token, str) for token in self.tokens)
        ):
            raise CheckpointError(f"rim.tokens is {self.tokens!r}, expected three token names.")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RimSettings | None:
        """Read the `"rim"` entry of a config.json; None if there is none. Unknown keys are an error."""
        entry = config.get("rim")
        if entry is None:
            return None
        known = {"blocks", "memory_tokens", "prefix", "tokens"}
        if not isinstance(entry, Mapping) or not set(entry) <= known:
            raise CheckpointError(f'config.json has "rim": {entry!r}, expected the keys {sorted(known)} only.')
        values = dict(entry)
        if isinstance(values.get("tokens"), list):
            values["tokens"] = tuple(values["tokens"])
        return cls(**values)

    def to_config(self) -> dict[str, Any]:
        """Return the `"rim"` entry for a config.json."""
        return {
            "blocks": self.blocks,
            "memory_tokens": self.memory_tokens,
            "prefix": self.prefix,
            "tokens": list(self.tokens),
        }


def _shown(value: object) -> str:
    """Return a setting for a message; Python refuses to write numbers of thousands of digits."""
    is_huge = isinstance(value, int) and abs(value) > 10**30
    return "a number of more than 30 digits" if is_huge else repr(value)


class Thinking(Enum):
    """What the chat template is told of written thoughts before the answer."""

    OFF = "off"
    """`enable_thinking` is false: Qwen3's prompts end in an empty think part."""
    UNSAID = "unsaid"
    """Nothing, as the cards of models with latent steps render it: their prompts end where the answer begins."""

    @property
    def options(self) -> Mapping[str, bool]:
        """The template's variables."""
        return {"enable_thinking": False} if self is Thinking.OFF else {}


def derive_contract(tokenizer: Any, rim: RimSettings) -> PromptContract:
    """Return the prompt contract of a transformers fast tokenizer that has a chat template and the RiM tokens.

    Raises CheckpointError if the template is missing or changes the question, or if a RiM token is missing.
    """
    begin, memory, end = rim_token_ids(tokenizer, rim.tokens)
    return _derive(tokenizer, rim.prefix, (begin, *rim.memory_tokens * [memory], end), rim.blocks)


def derive_contract_without_blocks(tokenizer: Any, prefix: str) -> PromptContract:
    """Return the prompt contract without memory blocks: the zero-shot reading of any chat model.

    Raises CheckpointError if the template is missing or changes the question.
    """
    if not prefix:
        raise CheckpointError("The answer prefix is empty, expected some text.")
    return _derive(tokenizer, prefix, block=(), blocks=0)


def derive_latent_contract(tokenizer: Any) -> PromptContract:
    """Return the prompt contract of answers behind latent steps: neither blocks nor a prefix.

    Raises CheckpointError if the template is missing or changes the question.
    """
    return _derive(tokenizer, prefix="", block=(), blocks=0, thinking=Thinking.UNSAID)


def _derive(
    tokenizer: Any, prefix: str, block: tuple[int, ...], blocks: int, thinking: Thinking = Thinking.OFF
) -> PromptContract:
    refuse_endless_template(tokenizer, (_SENTINEL, *_PROBES))
    before, after = _render(tokenizer, _SENTINEL, thinking)
    strip = _strips(tokenizer, thinking)
    added = _added_token_pattern(tokenizer)
    last = max((match.end() for match in added.finditer(before)), default=0)
    first = next((match.start() for match in added.finditer(after)), len(after))
    contract = PromptContract(
        head=_encode(tokenizer, before[:last]),
        question_open=before[last:],
        question_close=after[:first],
        strip=strip,
        tail=_encode(tokenizer, after[first:]),
        block=block,
        blocks=blocks,
        prefix=_encode(tokenizer, prefix),
        prefix_text=prefix,
    )
    _check_against_template(tokenizer, contract, thinking)
    return contract


def has_rim_tokens(tokenizer: Any) -> bool:
    """Whether a tokenizer has any of the usual RiM tokens."""
    return not tokenizer.get_added_vocab().keys().isdisjoint(RIM_TOKENS)


def rim_token_ids(tokenizer: Any, names: tuple[str, str, str]) -> tuple[int, int, int]:
    """Return the ids of the three RiM tokens. Raises CheckpointError naming those the tokenizer lacks."""
    vocabulary = tokenizer.get_added_vocab()
    missing = [name for name in names if name not in vocabulary]
    if missing:
        raise CheckpointError(
            f"The tokenizer has no token {', '.join(missing)}, expected {', '.join(names)} as added tokens. "
            "This is not a RiM checkpoint: train one with 'rim-edge train', name its tokens in config.json "
            '("rim": {"tokens": […]}), or export it without memory blocks, as a baseline: --blocks 0'
        )
    begin, memory, end = (int(vocabulary[name]) for name in names)
    return begin, memory, end


def letter_ids(tokenizer: Any) -> dict[str, int]:
    """Return the token id of each letter A..J. Raises CheckpointError unless each is one token of its own."""
    ids = {letter: _encode(tokenizer, letter) for letter in LETTERS}
    split = [letter for letter, tokens in ids.items() if len(tokens) != 1]
    if split or len({tokens[0] for tokens in ids.values()}) != len(LETTERS):
        raise CheckpointError(
            f"The tokenizer has no single token for the letters {split or list(LETTERS)}, expected one each. "
            "A letter readout cannot be exported from this checkpoint."
        )
    return {letter: tokens[0] for letter, tokens in ids.items()}


def template_ids(tokenizer: Any, question: str, thinking: Thinking = Thinking.OFF) -> list[int]:
    """Return the ids as the model card makes them: one user turn, `apply_chat_template`."""
    encoded = tokenizer.apply_chat_template(
        _turn(question), tokenize=True, add_generation_prompt=True, return_dict=True, **thinking.options
    )
    return list(encoded["input_ids"])


def _turn(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def _render(tokenizer: Any, content: str, thinking: Thinking) -> tuple[str, str]:
    if not tokenizer.chat_template:
        raise CheckpointError(
            "The checkpoint has no chat template (chat_template.jinja, or chat_template in "
            "tokenizer_config.json). Copy its base model's template into the folder."
        )
    try:
        text = tokenizer.apply_chat_template(
            _turn(content), tokenize=False, add_generation_prompt=True, **thinking.options
        )
    except Exception as error:  # noqa: BLE001 (a template may raise anything)
        raise CheckpointError(f"The chat template fails on one user turn ({error}). Mend the template.") from None
    before, found, after = text.partition(content.strip())
    if not found or content.strip() in after:
        raise CheckpointError(
            f"The chat template shows the question {text.count(content.strip())} times, expected once, "
            "unchanged. Such a template is not supported."
        )
    return before, after


def _strips(tokenizer: Any, thinking: Thinking) -> bool:
    """Whether the template, when rendered, strips white space around the user's text."""
    bare_before, bare_after = _render(tokenizer, _SENTINEL, thinking)
    before, after = _render(tokenizer, f" \n{_SENTINEL} \n", thinking)
    if (before, after) == (bare_before, bare_after):
        return True
    if (before, after) == (f"{bare_before} \n", f" \n{bare_after}"):
        return False
    raise CheckpointError("The chat template changes white space around the question in a way not supported.")


def _added_token_pattern(tokenizer: Any) -> re.Pattern[str]:
    contents = sorted((str(token) for token in tokenizer.added_tokens_decoder.values()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, contents)) or r"(?!)")


def _encode(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False)) if text else ()


_PROBES = (
    "Why?",
    " Two  spaces, a tab\tand a line\nbreak. ",
    "Ünïcode: 水, \U0001f600 and e\u0301",
    "A: x\nB: y",
)


def _check_against_template(tokenizer: Any, contract: PromptContract, thinking: Thinking) -> None:
    for probe in _PROBES:
        expected = tuple(template_ids(tokenizer, probe, thinking))
        found = contract.head + _encode(tokenizer, contract.segment(probe)) + contract.tail
        if found != expected:
            raise CheckpointError(
                f"The prompt cut at added tokens gives other ids than the chat template for {probe!r}: "
                f"{len(found)} against {len(expected)}. Such a template is not supported."
            )
