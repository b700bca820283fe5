"""Write a bundle's decoder as a folder that optimum-onnx opens: `ORTModelForCausalLM.from_pretrained(DIR)`.

The decoder's inputs and outputs have the ecosystem's names already, so graph and weights are copied as they are.
The small files that transformers reads are written beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rim_runtime.bundle.copying import refuse_full, refuse_inside
from rim_runtime.bundle.ecosystem import TransformersRecord, read_record
from rim_runtime.bundle.external_data import check_locations
from rim_runtime.bundle.folder import TOKENIZER, Bundle
from rim_runtime.bundle.manifest import Manifest, Precision, Variant
from rim_runtime.bundle.roles import Decoding, Role, decoding, graph_of
from rim_runtime.bundle.source import BundleSource, checked_parts
from rim_runtime.errors import InputError
from rim_runtime.machine.json_files import parse_json
from rim_runtime.machine.storage import new_folder, refuse_existing
from rim_runtime.progress import OnProgress

GRAPH = "model.onnx"
"""What ORTModelForCausalLM takes for the graph without being told."""
_SHARED_HEADS = ("llama", "mistral", "qwen2", "qwen3", "smollm3")
"""Families, of those we export, for which optimum-onnx 0.1.0 knows that query heads share key heads."""
_CARRIED = {"LICENSE": "LICENSE", "MODEL_CARD.md": "README.md"}


def write_optimum_folder(
    source: BundleSource, target: Path, precision: Precision | None = None, progress: OnProgress | None = None
) -> Variant:
    """Write a folder for optimum-onnx from a bundle's decoder, its first or that of a precision; return its entry.

    The folder appears whole or not at all.
    Raises TargetExistsError and InputError (the target; a bundle that has no such decoder, or was made before this
    was possible; a cache that optimum-onnx would lay out otherwise), StorageError and BundleCorruptError.
    """
    refuse_existing(target)
    if isinstance(source, Bundle):
        refuse_inside(source.path, target)
    chosen, geometry, record = _decoder(source, precision), decoding(source.manifest), read_record(source)
    assert geometry is not None, "check_roles refuses a decoder without it"
    _refuse_other_cache(record, geometry)
    names = {chosen.graph: GRAPH, chosen.data: chosen.data}
    names |= {ours: theirs for ours, theirs in _CARRIED.items() if ours in source.manifest.files}
    refuse_full(source, names, target)
    with new_folder(target) as work:
        for ours, theirs in names.items():
            with (work / theirs).open("xb") as copy:
                for part in checked_parts(source, ours, progress, "copying"):
                    copy.write(part)
        check_locations((work / GRAPH).read_bytes(), work / GRAPH, chosen.data)
        for name, content in _small_files(source, record, geometry).items():
            lines = None if name == TOKENIZER else 2  # its merges would take a line each
            (work / name).write_text(json.dumps(content, ensure_ascii=False, indent=lines), encoding="utf-8")
    return chosen


def _decoder(source: BundleSource, precision: Precision | None) -> Variant:
    manifest = source.manifest
    found = [graph_of(manifest, variant, Role.DECODER) for variant in manifest.variants]
    decoders = [one for one in found if one is not None]
    if not decoders:
        raise InputError(
            f"{source.where} answers with letters alone, and has no decoder. "
            "Export one with: rim-edge export --answers text"
        )
    chosen = next((one for one in decoders if precision in (None, one.precision)), None)
    if chosen is None:
        has = ", ".join(dict.fromkeys(one.precision for one in decoders))
        raise InputError(f"{source.where} has no decoder in {precision}, expected one of: {has}.")
    return chosen


def _refuse_other_cache(record: TransformersRecord, geometry: Decoding) -> None:
    """Raise InputError unless optimum-onnx lays out the cache as the decoder does (its modeling_decoder.py)."""
    family = str(record.config.get("model_type"))
    size = geometry.width // record.heads
    heads = geometry.key_value_heads if family in _SHARED_HEADS else record.heads
    if (heads, size) != (geometry.key_value_heads, geometry.head_size):
        raise InputError(
            f"optimum-onnx gives each layer of a {family} model with these sizes a cache of {heads} heads of "
            f"{size} channels, this one has {geometry.key_value_heads} of {geometry.head_size}: it cannot open "
            "it. Ask the bundle with rim-edge, or read its graph with ONNX Runtime (docs/bundle-format.md)."
        )


def _small_files(
    source: BundleSource, record: TransformersRecord, geometry: Decoding
) -> Mapping[str, Mapping[str, Any]]:
    """Return the contents of the files that transformers reads, by name; releases 4 and 5 read them alike."""
    tokenizer = parse_json(b"".join(checked_parts(source, TOKENIZER, None, "reading")).decode("utf-8"))
    stops = list(geometry.stop_ids)
    return {
        "config.json": dict(record.config),
        "generation_config.json": {
            "pad_token_id": stops[0],
            # with this entry, transformers takes the file for what it once derived from config.json
            **{key: value for key, value in record.generation_config.items() if key != "_from_model_config"},
            "eos_token_id": stops,
        },
        TOKENIZER: {**tokenizer, "added_tokens": list(record.added_tokens)},
        "tokenizer_config.json": _tokenizer_config(source.manifest, record),
    }


def _tokenizer_config(manifest: Manifest, record: TransformersRecord) -> Mapping[str, Any]:
    return {
        **record.special_tokens,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": manifest.limits.model_positions,
        "padding_side": "left",  # a decoder's rows end together
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],  # generate refuses the class's token_type_ids
        "chat_template": record.chat_template,
    }
