"""What transformers knows of a checkpoint and no engine of ours asks: kept in a bundle that writes text.

`transformers.json` has it, so that a bundle alone is enough to write a folder for others (optimum_folder.py).
Engines never read it: a question's text cannot become one of its tokens.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rim_runtime.bundle.json_fields import build
from rim_runtime.bundle.source import BundleSource, checked_parts
from rim_runtime.errors import BundleCorruptError, InputError
from rim_runtime.machine.json_files import parse_json

RECORD = "transformers.json"


@dataclass(frozen=True)
class TransformersRecord:
    """The small files of a checkpoint."""

    config: Mapping[str, Any]
    """config.json."""
    heads: int
    """Query heads of a layer, whatever the family's config.json calls them."""
    generation_config: Mapping[str, Any]
    """generation_config.json; empty if there was none."""
    added_tokens: tuple[Mapping[str, Any], ...]
    """The added tokens of the checkpoint's tokenizer.json, which the bundle's has not."""
    special_tokens: Mapping[str, str]
    """The tokenizer's own tokens by their roles, such as `eos_token`."""
    chat_template: str
    """The template (Jinja) that the bundle's prompts were derived from."""

    def to_json(self) -> str:
        """Return the text of `transformers.json`."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=1) + "\n"


def read_record(source: BundleSource) -> TransformersRecord:
    """Read a bundle's `transformers.json`, its hash checked. Raises InputError, BundleCorruptError."""
    where = f"{source.where}/{RECORD}"
    if RECORD not in source.manifest.files:
        raise InputError(
            f"{source.where} has no {RECORD}, which says what transformers must know: an earlier release made it. "
            "Export it again with: rim-edge export --answers text"
        )
    content = b"".join(checked_parts(source, RECORD, None, "reading"))
    try:
        found = parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise BundleCorruptError(f"{where} cannot be read ({error}). Export the bundle again.") from None
    return build(TransformersRecord, found, where)
