"""Models in other forms than a transformers folder: told from their files, and refused with what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime.machine.json_files import read_json

from rim_export.errors import CheckpointError, CheckpointNotFoundError, UnsupportedModelError

ADAPTER = "adapter_config.json"
_CONFIG = "config.json"
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"model-(\d+)-of-(\d+)\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".zst", ".xz", ".7z")
_CONVERT_GGUF = (
    'Give the transformers folder that it was converted from, or convert it: pip install "rim-edge[gguf]", then '
    "python -m rim_edge.model.gguf FILE.gguf DIR"
)
_SAVE_AGAIN = "Load it with transformers and save it again: model.save_pretrained(DIR)."


@dataclass(frozen=True)
class _Form:
    """A form in which models are stored, but not read here."""

    applies: Callable[[frozenset[str]], bool]
    """Whether a folder with files of these names holds it."""
    what: str
    """What the folder holds, and what to do."""


def _any_ends(*endings: str) -> Callable[[frozenset[str]], bool]:
    return lambda names: any(name.lower().endswith(endings) for name in names)


_WEIGHTLESS: tuple[_Form, ...] = (
    _Form(
        _any_ends(".gguf"),
        f"a GGUF model, llama.cpp's format. {_CONVERT_GGUF}",
    ),
    _Form(_any_ends(".onnx"), "an ONNX model. Give the checkpoint that it was made from."),
    _Form(
        _any_ends("pytorch_model.bin.index.json", *_PICKLES),
        f"pickled weights, which are never opened: a pickle can run code. {_SAVE_AGAIN}",
    ),
    _Form(
        _any_ends(".h5", ".msgpack"),
        f"weights of TensorFlow or Flax. {_SAVE_AGAIN}",
    ),
)
"""Forms of weights, asked about only where there are none in the names that are read."""


def refuse_other_forms(folder: Path) -> None:
    """Raise CheckpointError, naming the form, if the folder holds a model in another form; or nothing at all."""
    names = _names(folder)
    if not names:
        raise CheckpointError(
            f"{folder} is empty, expected config.json, the tokenizer and the weights. Copy them into it."
        )
    if ADAPTER in names:
        raise CheckpointError(_adapter(folder))
    if {"manifest.json", "golden.jsonl"} <= names:
        raise CheckpointError(
            f"{folder} is a bundle, made by an export. To ask it: rim-edge ask --bundle {folder}. "
            "To export again, give the checkpoint that it was made from."
        )
    if _SINGLE not in names and _INDEX not in names:
        _refuse_weights(folder, names)


def refuse_file(path: Path) -> None:
    """Raise CheckpointNotFoundError for a file where a folder is expected."""
    expected = f"{path} is a file, expected a checkpoint's folder."
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        advice = f"GGUF is llama.cpp's format. {_CONVERT_GGUF}"
    elif suffix in _ARCHIVES:
        advice = "Unpack it and give the folder."
    elif (path.parent / _CONFIG).is_file():
        advice = f"Give the folder that holds it: {path.parent}"
    else:
        advice = "Give a folder with config.json, the tokenizer and the weights."
    raise CheckpointNotFoundError(f"{expected} {advice}")


def refuse_quantized(config: Mapping[str, Any], folder: Path) -> None:
    """Raise UnsupportedModelError, naming the method, if a config says that the weights are quantized."""
    entry = config.get("quantization_config")
    if entry is None:
        return
    method = entry.get("quant_method") if isinstance(entry, Mapping) else None
    named = f"{method}, " if isinstance(method, str) else ""
    raise UnsupportedModelError(
        f"{folder} holds quantized weights ({named}quantization_config in config.json), expected floats. Give the "
        "checkpoint that they were made from: rim-edge quantizes itself "
        "(--precision). Without it, load the model with transformers, call model.dequantize(), take "
        "quantization_config out of model.config, and save it: model.save_pretrained(DIR)"
    )


def check_tensor_names(names: Mapping[str, Path], folder: Path) -> None:
    """Raise CheckpointError if tensors have the names of a wrapped model, of adapters or of one without a head."""
    adapters = sorted(name for name in names if re.search(r"\.(lora_[AB]|base_layer|modules_to_save)\.", name))
    if adapters:
        raise CheckpointError(
            f"{folder} has weights of an adapter that is not merged, such as {adapters[0]!r}. Merge it with peft "
            "(merge_and_unload) and save the merged model with save_pretrained."
        )
    table = "embed_tokens.weight"
    found = next((name for name in sorted(names) if name.endswith(table)), None)
    if found is None or f"model.{table}" in names:
        return
    prefix = found.removesuffix(table).removesuffix("model.")
    if not prefix:
        raise CheckpointError(
            f"{folder} holds a model without its output layer: its tensors are named as {found!r}, expected "
            f"'model.{table}'. Save it from AutoModelForCausalLM instead of AutoModel."
        )
    wrapped = "peft's" if prefix.startswith("base_model.") else "a wrapper's"
    raise CheckpointError(
        f"The tensors in {folder} bear {wrapped} prefix {prefix!r}, as in {found!r}, expected 'model.{table}'. "
        "Save the model inside the wrapper (peft: merge_and_unload first) with save_pretrained."
    )


def _names(folder: Path) -> frozenset[str]:
    """Return the names of the folder's files, and of those in its folder `onnx`, where some models have theirs."""
    try:
        return frozenset(path.name for pattern in ("*", "onnx/*.onnx") for path in folder.glob(pattern))
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read ({error.strerror}). Check its permissions.") from None


def _adapter(folder: Path) -> str:
    try:
        base = read_json(folder / ADAPTER)["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        base = None
    of = f" of {base}" if isinstance(base, str) and base else ""
    return (
        f"{folder} holds a LoRA adapter{of} ({ADAPTER}), expected a whole model. Merge it into its base model "
        "with peft (merge_and_unload), save that with save_pretrained and give its folder; or give the checkpoint "
        "that 'rim-edge train' wrote, which is merged."
    )


def _refuse_weights(folder: Path, names: frozenset[str]) -> None:
    """Raise CheckpointError for a folder without weights in the names that are read."""
    shards = sorted(name for name in names if _SHARD.fullmatch(name))
    if shards:
        raise CheckpointError(_without_index(folder, shards))
    single = sorted(name for name in names if name.endswith(".safetensors"))
    if single and _CONFIG in names:
        raise CheckpointError(
            f"{folder} has {', '.join(single[:3])}, expected {_SINGLE}. If it holds the whole model, rename it; "
            f"if it is one of several, copy {_INDEX} as well."
        )
    for form in () if single else _WEIGHTLESS:
        if form.applies(names):
            raise CheckpointError(f"{folder} holds {form.what}")


def _without_index(folder: Path, shards: list[str]) -> str:
    match = _SHARD.fullmatch(shards[0])
    assert match
    total = int(match[2])
    lacking = f" and {total - len(shards)} of {total} weight files" if len(shards) < total else ""
    return (
        f"{folder} has {shards[0]}, one of {total} weight files, but lacks {_INDEX}{lacking}. "
        "Copy all files of the checkpoint again."
    )


def without_config(folder: Path) -> str:
    """Return the message for a folder without config.json; it names the folder inside that has one."""
    inside = sorted(path.parent for path in folder.glob(f"*/{_CONFIG}"))
    inside = inside or sorted(path.parent for path in folder.glob(f"snapshots/*/{_CONFIG}"))
    meant = f"Give the folder inside it: {inside[-1]}" if inside else "Give the folder that holds it."
    return f"{folder} is not a checkpoint: it has no {_CONFIG}. {meant}"
