"""An adapter as files: LoRA in peft's own format, and the RiM tokens' embeddings, which peft does not know.

    adapter_config.json        peft's LoraConfig
    adapter_model.safetensors  lora_A and lora_B of each matrix, fp32
    rim_tokens.safetensors     embeddings [3, hidden], and the head's rows where it is not tied, fp32
    rim.json                   blocks and prefix, and the SHA-256 of the weights that it belongs to

peft loads the first two onto the base model; `rim-edge merge` makes of all four the checkpoint of the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings
from rim_export.errors import CheckpointError
from rim_runtime.machine.json_files import read_json
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rim_edge.model.checkpoint import require_finite, write_tensors
from rim_edge.model.trainable import TrainableModel, open_trainable, write_trained
from rim_edge.model.vocabulary import FrozenEmbedding
from rim_edge.recipe.recipe import Lora, Trains

ADAPTER = "adapter"
"""The folder beside the merged weights."""
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_TOKENS, _RIM = "rim_tokens.safetensors", "rim.json"
_PEFT, _OURS, _NAME = "base_model.", ".weight", ".default.weight"
"""How peft's files and its modules name a matrix."""


def write_adapter(folder: Path, trainable: TrainableModel, base: Path) -> None:
    """Write what a run with adapters learned into a new folder; `base` is the checkpoint that it began with.

    The model must still have its adapters. Raises StorageError, and DivergedError for weights that are not finite.
    """
    assert trainable.adapted is not None and trainable.rim is not None
    folder.mkdir()
    config = trainable.adapted.peft_config["default"]
    config.base_model_name_or_path, config.task_type, config.inference_mode = base.name, "CAUSAL_LM", True
    config.save_pretrained(folder)
    tensors, rows = _matrices(trainable.adapted), _token_rows(trainable.model)
    require_finite(tensors | rows)
    write_tensors(folder / _WEIGHTS, {f"{_PEFT}{name}": tensor for name, tensor in tensors.items()})
    write_tensors(folder / _TOKENS, rows)
    told = {"rim": trainable.rim.to_config(), "base_sha256": Checkpoint.open(base).weights_sha256()}
    (folder / _RIM).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the checkpoint of base and adapter, as the run wrote it, into a folder. Raises CheckpointError."""
    told, config = _read(adapter, _RIM), _read(adapter, _CONFIG)
    sha256 = Checkpoint.open(base).weights_sha256()
    if told.get("base_sha256") != sha256:
        raise CheckpointError(
            f"{adapter} belongs to weights with the SHA-256 {told.get('base_sha256')}, and those of {base} have "
            f"{sha256}. Pass the checkpoint that its run began with (it was called "
            f"{config.get('base_model_name_or_path')})."
        )
    rim = RimSettings.from_config(told)
    if rim is None:
        raise CheckpointError(
            f"{adapter / _RIM} says nothing of blocks, expected what a run wrote. Copy it again."
        )
    try:
        lora = Lora(rank=config["r"], scale=config["lora_alpha"] / config["r"])
        weights, rows = load_file(adapter / _WEIGHTS), load_file(adapter / _TOKENS)
    except (KeyError, TypeError, ZeroDivisionError, OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{adapter} cannot be read ({error}). Copy the folder from its source again."
        ) from None
    trainable = open_trainable(base, rim, Trains.LORA, lora)
    _give(
        _matrices(trainable.adapted),
        {name.removeprefix(_PEFT): tensor for name, tensor in weights.items()},
        adapter,
    )
    _give(_token_rows(trainable.model), rows, adapter)
    write_trained(folder, trainable)


def _matrices(adapted: Any) -> dict[str, Tensor]:
    """Return lora_A and lora_B of every matrix, by the names of peft's files without their prefix."""
    return {
        name.removesuffix(_NAME) + _OURS: parameter.detach()
        for name, parameter in adapted.named_parameters()
        if ".lora_" in name
    }


def _token_rows(model: Any) -> dict[str, Tensor]:
    """Return the learned embeddings and, of a head that is not tied, the same tokens' rows; both share memory."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    assert isinstance(embedding, FrozenEmbedding)
    rows = {"embeddings": embedding.rows.weight.detach()}
    if not hasattr(head, "rows"):
        first, last = int(embedding.rows.tokens.min()), int(embedding.rows.tokens.max())
        rows["head"] = head.weight.detach()[first : last + 1]
    return rows


def _give(held: Mapping[str, Tensor], given: Mapping[str, Tensor], adapter: Path) -> None:
    """Copy tensors into those of the same names and shapes. Raises CheckpointError for others."""
    shapes = {name: list(tensor.shape) for name, tensor in held.items()}
    found = {name: list(tensor.shape) for name, tensor in given.items()}
    if shapes != found:
        name = min(name for name in {*shapes, *found} if shapes.get(name) != found.get(name))
        raise CheckpointError(
            f"{adapter} has {name} of the shape {found.get(name)}, expected {shapes.get(name)}: it belongs to "
            "another model. Pass the checkpoint that its run began with."
        )
    with torch.no_grad():
        for name, tensor in held.items():
            tensor.copy_(given[name])


def _read(adapter: Path, name: str) -> dict[str, Any]:
    try:
        body = read_json(adapter / name)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{adapter} is no adapter of a run: {name} cannot be read ({why}). Pass the folder '{ADAPTER}' of a "
            "checkpoint that rim-edge trained with LoRA."
        ) from None
    if not isinstance(body, dict):
        raise CheckpointError(f"{adapter / name} is no table, expected what a run wrote. Copy it again.")
    return body
