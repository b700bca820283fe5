"""Reading and writing checkpoints: plain transformers folders, written atomically.

Everything of a run is written into a hidden sibling of the target, which becomes the target by one rename at
the end; an error before that leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rim_export.contract import RimSettings
from rim_export.errors import CheckpointError, CheckpointNotFoundError
from rim_runtime.errors import RimError, StorageError, TargetExistsError
from safetensors import SafetensorError


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `target` when the block ends well, and is removed when it does not.

    Raises TargetExistsError where something is there already, StorageError where the disk refuses.
    """
    _refuse_existing(target)
    staging = target.parent / f".{target.name}.partial-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
        yield staging
        _refuse_existing(target)
        _flush(staging)
        staging.rename(target)
        _flush_folder(target.parent)
    except RimError:
        raise
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"{target} could not be written ({error}). Nothing was left there; "
            "free some space or choose another folder, then train again."
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_checkpoint(folder: Path, model: Any, tokenizer: Any, rim: RimSettings, dtype: torch.dtype) -> None:
    """Write config (with its "rim" entry), safetensors in `dtype` and tokenizer into an existing folder."""
    weights = {name: tensor.detach().to(dtype) for name, tensor in model.state_dict().items()}
    with _quiet():
        model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)
    config_file = folder / "config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config |= {"dtype": str(dtype).removeprefix("torch."), "rim": rim.to_config()}
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json. Raises CheckpointError where there is none that can be read."""
    if not folder.is_dir():
        raise CheckpointNotFoundError(f"There is no folder {folder}, expected a transformers checkpoint.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder} has no config.json, so it is not a checkpoint. Name another.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / 'config.json'} cannot be read ({error}).") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'} holds no object, expected a model's configuration.")
    return config


def read_checkpoint(folder: Path) -> tuple[Any, Any]:
    """Return (model in fp32, tokenizer) of a local transformers folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read_config(folder)
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, attn_implementation="sdpa"
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{folder} cannot be loaded by transformers ({reason}). Mend the folder.") from None
    return model, tokenizer


def saved_dtype(config: dict[str, Any]) -> torch.dtype:
    """Return the dtype that a checkpoint's config names; fp32 where it names none."""
    name = config.get("dtype", config.get("torch_dtype"))
    found = getattr(torch, name, None) if isinstance(name, str) else None
    return found if isinstance(found, torch.dtype) else torch.float32


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing its own progress bars, which it does without a terminal too."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _refuse_existing(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise TargetExistsError(f"{target} is already there, and nothing is overwritten. Choose another --out.")


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.chmod(0o666 & ~_umask())  # safetensors writes 0600
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_folder(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
