"""The files of a bundle besides its graphs: tokenizer, licence, card, what transformers knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rim_runtime.bundle.ecosystem import RECORD, TransformersRecord
from rim_runtime.bundle.folder import TOKENIZER
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.json_files import read_json

from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.spelling import spellable_tokens
from rim_export.errors import CheckpointError

LICENSE = "LICENSE"
CARD = "MODEL_CARD.md"
_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")


def write_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    """Write tokenizer.json without its added tokens, so that user text can never become one.

    Raises CheckpointError unless that is so for this tokenizer.
    """
    source = checkpoint.path / TOKENIZER
    try:
        tokenizer = read_json(source)
        spellable = spellable_tokens(tokenizer)
        tokenizer["added_tokens"] = []
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{source} is not a tokenizer ({error!r}). Copy it again.") from None
    if spellable:
        raise CheckpointError(
            f"A question's text can become the token {spellable[0]!r} of {source}, expected that none can become "
            "an added token: such a text could end the question and speak for the model. Not supported."
        )
    tokenizer["truncation"] = tokenizer["padding"] = None
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (folder / TOKENIZER).write_text(text, encoding="utf-8")


def write_transformers_record(checkpoint: Checkpoint, tokenizer: Any, folder: Path) -> None:
    """Write what `rim-edge bundle optimum` tells transformers: config, added tokens, chat template."""
    roles = tokenizer.special_tokens_map
    record = TransformersRecord(
        config=checkpoint.config,
        heads=checkpoint.sizes.heads,
        generation_config=checkpoint.generation_config,
        added_tokens=tuple(read_json(checkpoint.path / TOKENIZER)["added_tokens"]),
        special_tokens={role: text for role, text in roles.items() if isinstance(text, str)},
        chat_template=str(tokenizer.chat_template),
    )
    (folder / RECORD).write_text(record.to_json(), encoding="utf-8")


def carry_license_and_card(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy the checkpoint's licence and card, or write `unknown` in their place."""
    licence = next((checkpoint.path / name for name in _LICENCE_FILES if (checkpoint.path / name).is_file()), None)
    _carry(licence, folder / LICENSE)
    card = checkpoint.path / "README.md"
    _carry(card if card.is_file() else None, folder / CARD)


def _carry(source: Path | None, target: Path) -> None:
    if source is None:
        target.write_text("unknown\n", encoding="utf-8")
        return
    try:
        content = source.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{source} cannot be read ({error.strerror}). Check its permissions, or copy it again."
        ) from None
    target.write_bytes(content)


def tool_versions() -> Mapping[str, str]:
    """Return the versions of the tools that make a bundle."""
    names = ("rim-edge", "torch", "transformers", "onnx-ir", "tokenizers")
    versions = {name: version(name).partition("+")[0] for name in names}
    return versions | {"onnxruntime": import_onnxruntime().__version__}  # of whichever wheel is installed
