"""Reading and writing checkpoints: plain transformers folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.latent import LatentSettings
from rim_export.checkpoint.prompt import RimSettings
from rim_export.errors import CheckpointError
from rim_runtime.errors import StorageError
from rim_runtime.machine.json_files import read_json
from safetensors import SafetensorError
from safetensors.torch import save_file

from rim_edge.errors import DivergedError


def write_checkpoint(
    folder: Path,
    model: Any,
    tokenizer: Any,
    rim: RimSettings | None,
    dtype: torch.dtype,
    *,
    weights: Mapping[str, torch.Tensor] | None = None,
    latent: LatentSettings | None = None,
) -> None:
    """Write config, safetensors in `dtype` and tokenizer into an existing folder.

    The config has a "rim" and a "latent" entry where the model has blocks and latent steps, and no other ones.

    `weights` None means the model's whole state. Raises StorageError if they cannot be written, and DivergedError
    where some are not finite in `dtype`.
    """
    state = model.state_dict() if weights is None else weights
    weights = {name: tensor.detach().to(dtype) for name, tensor in state.items()}
    require_finite(weights)
    with quiet_transformers(), _disk_errors():
        model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)
    config_file = folder / "config.json"
    config = read_json(config_file)
    entries = {
        "rim": None if rim is None else rim.to_config(),
        "latent": None if latent is None else asdict(latent),
    }
    config = {key: value for key, value in config.items() if key not in entries}
    config |= {"dtype": str(dtype).removeprefix("torch.")}
    config |= {key: value for key, value in entries.items() if value is not None}
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def require_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise DivergedError if a weight is infinite or not a number, as fp16 makes those above 65,504."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            broken = int((~tensor.isfinite()).sum())
            raise DivergedError(
                f"{broken:,} of {tensor.numel():,} weights of {name} are not finite as {tensor.dtype}, expected "
                "numbers. Nothing was written. Lower the learning rate, or start from a checkpoint in bfloat16."
            )


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors as they are into one safetensors file. Raises StorageError if they cannot be written."""
    with _disk_errors():
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def read_checkpoint(folder: Path) -> tuple[Any, Any]:
    """Return (model in fp32, tokenizer) of a local transformers folder.

    Code in the folder is never run, pickled weights are never opened, and nobody is asked whether they may be.
    Raises CheckpointError.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = Checkpoint.open(folder).load_tokenizer()
    try:
        with quiet_transformers():
            model, told = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
            )
    except Exception as error:  # noqa: BLE001 (its checks raise what they like)
        reason = f"{type(error).__name__}: {str(error).strip()}".split("\n")[0]
        raise CheckpointError(f"{folder} cannot be loaded by transformers ({reason}). Mend the folder.") from None
    refuse_other_tensors(folder, told)
    _refuse_broken(folder, model)
    return model, tokenizer


def refuse_other_tensors(folder: Path, told: Mapping[str, Any]) -> None:
    """Raise CheckpointError for tensors that transformers made up, at random, or left out."""
    for key, words in (("missing_keys", "lacks"), ("unexpected_keys", "has, and its model does not know,")):
        if names := sorted(map(str, told[key])):
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            raise CheckpointError(
                f"{folder} {words} the tensor {names[0]}{more}, expected the tensors of its config.json. "
                "Copy the weights and config.json from their source again."
            )


def _refuse_broken(folder: Path, model: Any) -> None:
    """Raise CheckpointError for weights that are infinite or not a number."""
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise CheckpointError(
                f"{folder} has weights in {name} that are not finite, expected numbers. Copy them again."
            )


def stored_once(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors without those that share another's memory: a tied head has no matrix of its own."""
    first: dict[int, str] = {}
    return {name: tensor for name, tensor in tensors.items() if first.setdefault(tensor.data_ptr(), name) == name}


def saved_dtype(config: Mapping[str, Any]) -> torch.dtype:
    """Return the dtype that a checkpoint's config names; fp32 where it names no float of 16 or 32 bits."""
    name = config.get("dtype", config.get("torch_dtype"))
    found = getattr(torch, name, None) if isinstance(name, str) else None
    return found if found in (torch.float16, torch.bfloat16) else torch.float32


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raise StorageError for a full disk, which safetensors reports as text only."""
    try:
        yield
    except SafetensorError as error:
        raise StorageError(f"The weights could not be written ({error}). Free some space and go on.") from None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing its own progress bars, which it does without a terminal too."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
