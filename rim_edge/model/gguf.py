"""Convert a GGUF file, llama.cpp's format, into a checkpoint that can be exported and trained.

    python -m rim_edge.model.gguf FILE.gguf FOLDER

Quantized weights are dequantized to fp32: the checkpoint computes what the file holds, not what it was made of.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.values import check_values
from rim_export.errors import CheckpointError, CheckpointNotFoundError
from rim_runtime.errors import RimError
from rim_runtime.machine.storage import new_folder, refuse_existing

from rim_edge.extras import require_extra
from rim_edge.model.checkpoint import quiet_transformers, refuse_other_tensors, require_finite

_MAGIC = b"GGUF"
_SPLIT_AS_GPT2 = ("gpt-2", "smollm")
_SPLIT_BY_TRANSFORMERS = ("llama-bpe", "qwen2", "tekken")
"""Values of `tokenizer.ggml.pre`, the way text is split before BPE. transformers takes GPT-2's way for every name
that it does not know, without a word."""


def convert_gguf(file: Path, target: Path) -> None:
    """Write the model in a GGUF file as a new checkpoint folder: fp32 weights, tokenizer, chat template.

    Raises MissingExtraError without the package gguf, CheckpointNotFoundError without the file, TargetExistsError,
    CheckpointError for what cannot be read or converted, and StorageError. The folder appears whole or not at all.
    """
    require_extra("gguf", "Converting a GGUF file")
    refuse_existing(target)
    _require_gguf(file)
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):  # a progress bar, terminal or not
        tokenizer = _read_tokenizer(file)
        model = _read_model(file)
    if not tokenizer.chat_template:
        raise CheckpointError(f"{file} has no chat template, expected one. Take the GGUF file of a chat model.")
    with new_folder(target) as folder, quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _require_gguf(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            start = opened.read(len(_MAGIC))
    except OSError as error:
        raise CheckpointNotFoundError(
            f"{file} cannot be read ({error.strerror}), expected a GGUF file. Give its path."
        ) from None
    if start != _MAGIC:
        raise CheckpointError(
            f"{file} begins with {start!r}, expected a GGUF file, {_MAGIC!r}. Download it again."
        )


def _read_model(file: Path) -> Any:
    """Return the model in fp32, its weights dequantized, with a config that knows nothing of GGUF."""
    from transformers import AutoModelForCausalLM

    try:
        read, told = AutoModelForCausalLM.from_pretrained(
            file.absolute().parent,
            gguf_file=file.name,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # noqa: BLE001 (transformers and gguf raise what they like)
        raise _unreadable(file, error) from None
    refuse_other_tensors(file, told)
    weights = read.state_dict()
    require_finite(weights)
    return _without_quantization(read, weights)


def _without_quantization(read: Any, weights: dict[str, torch.Tensor]) -> Any:
    """Return the model anew: save_pretrained refuses while a quantizer hangs on the model and its config."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    values = read.config.to_dict()
    for name in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        values.pop(name, None)
    check_values(values)
    config = CONFIG_MAPPING[values["model_type"]].from_dict(values)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    return model


def _read_tokenizer(file: Path) -> Any:
    """Return the tokenizer, splitting text as the model's own does."""
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    way = _way_of_splitting(file)
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(
            file.absolute().parent, gguf_file=file.name, local_files_only=True
        )
    except Exception as error:  # noqa: BLE001 (as above)
        raise _unreadable(file, error) from None
    if way == "smollm":  # a digit is always a token of its own, also behind spaces
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    return tokenizer


def _way_of_splitting(file: Path) -> str:
    """Return how text is split before BPE. Raises CheckpointError for a way that is not known here."""
    from transformers.integrations.gguf import read_gguf_metadata

    try:
        stated, _ = read_gguf_metadata(str(file))
    except Exception as error:  # noqa: BLE001 (as above)
        raise _unreadable(file, error) from None
    way = str(stated.get("tokenizer.ggml.pre"))
    known = (*_SPLIT_AS_GPT2, *_SPLIT_BY_TRANSFORMERS)
    if stated.get("tokenizer.ggml.model") == "gpt2" and way not in known:
        raise CheckpointError(
            f"{file} has a tokenizer that splits text in the way {way!r}, expected one of {', '.join(known)}. "
            "Take the transformers folder that the file was made from."
        )
    return way


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return CheckpointError(
        f"{file} cannot be converted ({reason[:300]}). If it is half a download, download it again; otherwise "
        "take the transformers folder that it was made from."
    )


def main() -> None:
    """Convert the file that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m rim_edge.model.gguf", description="Convert a GGUF file.")
    parser.add_argument("file", type=Path, help="the GGUF file")
    parser.add_argument("folder", type=Path, help="the checkpoint's folder, which must not exist yet")
    given = parser.parse_args()
    try:
        convert_gguf(given.file, given.folder)
    except RimError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
