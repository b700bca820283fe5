"""Proof that no text of a question can become an added token, from the tokenizer's own rules.

A bundle's tokenizer has no added tokens. Their ids may still be in its vocabulary, and text reaches such an id
only if the model can make it: BPE makes single symbols and what its merges join, other models any entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))


def spellable_tokens(tokenizer: Mapping[str, Any]) -> list[str]:
    """Return the added tokens of a tokenizer.json that a text can become once they are no added tokens any more.

    Raises KeyError and TypeError for what is no tokenizer.json.
    """
    added = {int(token["id"]): str(token["content"]) for token in tokenizer["added_tokens"]}
    reached = _reached(tokenizer["model"])
    return sorted(content for number, content in added.items() if number in reached)


def _reached(model: Mapping[str, Any]) -> set[int]:
    """Return the ids that text can become; rather too many than too few."""
    vocabulary = model["vocab"]
    if not isinstance(vocabulary, Mapping):  # Unigram: a list of pieces and their scores
        return set(range(len(vocabulary)))
    affixes = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    if model.get("type", "BPE") != "BPE" or model.get("ignore_merges") or affixes:
        return set(vocabulary.values())
    falls_back = bool(model.get("byte_fallback"))
    pairs = (pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model["merges"])
    made = {"".join(pair) for pair in pairs} | {entry for entry in vocabulary if len(entry) == 1}
    if falls_back:
        made |= _BYTES
    if not (falls_back and vocabulary.keys() >= _BYTES) and model.get("unk_token"):
        made.add(model["unk_token"])
    return {vocabulary[entry] for entry in made if entry in vocabulary}
