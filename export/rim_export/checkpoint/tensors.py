"""A checkpoint's tensors, read one at a time from safetensors: the whole model is never in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rim_runtime.machine.json_files import read_json

from rim_export.checkpoint.contents import foreign_content
from rim_export.errors import CheckpointError

if TYPE_CHECKING:
    import torch

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class WeightFiles:
    """Where each tensor of a checkpoint is."""

    tensors: Mapping[str, Path]
    """Tensor name to safetensors file."""

    @classmethod
    def open(cls, folder: Path) -> WeightFiles:
        """Read the headers of a single or sharded checkpoint. Raises CheckpointError."""
        if (folder / INDEX).is_file():
            shards = _shards(folder)
        elif (folder / SINGLE).is_file():
            shards = {folder / SINGLE}
        else:
            raise CheckpointError(
                f"{folder} has no weights: expected {SINGLE} or {INDEX}. "
                "Pickled weights (*.bin) are not read; save the model with safetensors."
            )
        if (folder / SINGLE).is_file() and shards != {folder / SINGLE}:
            raise CheckpointError(
                f"{folder} has both {SINGLE} and an index of other weight files, expected one set of weights. "
                f"Remove the older: {SINGLE}, or {INDEX} with its files."
            )
        return cls(_each_once(shards))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The weight files, in name order."""
        return tuple(sorted(set(self.tensors.values())))

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor in its own dtype, memory-mapped where possible. Raises CheckpointError."""
        from safetensors import SafetensorError, safe_open

        path = self.tensors.get(name)
        if path is None:
            raise CheckpointError(f"The checkpoint has no tensor {name!r}. Its weight files are not complete.")
        try:
            with safe_open(path, framework="pt") as file:
                tensor: torch.Tensor = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise _unreadable(path, error) from None
        return tensor

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return one tensor's shape from its file's header; None if there is no such tensor."""
        from safetensors import safe_open

        path = self.tensors.get(name)
        if path is None:
            return None
        with safe_open(path, framework="np") as file:
            return tuple(file.get_slice(name).get_shape())

    def types(self) -> dict[str, str]:
        """Return the type of each tensor from its file's header, as safetensors names types (BF16)."""
        from safetensors import safe_open

        found: dict[str, str] = {}
        for path in self.paths:
            with safe_open(path, framework="np") as file:
                found |= {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
        return found


def in_layer(name: str) -> bool:
    """Whether a tensor belongs to one of the layers: they are counted, in every family."""
    return any(part.isdigit() for part in name.split("."))


def _shards(folder: Path) -> set[Path]:
    try:
        weight_map = read_json(folder / INDEX)["weight_map"]
        paths = {folder / name for name in weight_map.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / INDEX} is not a weight index ({error!r}). Copy it again.") from None
    if foreign := sorted(name for name in map(str, weight_map.values()) if Path(name).name != name):
        raise CheckpointError(
            f"{folder / INDEX} names {foreign[0]!r}, expected plain names of files beside it. "
            "Copy the files into the folder and correct the index."
        )
    if missing := sorted(path.name for path in paths if not path.is_file()):
        raise CheckpointError(f"{folder} lacks the weight files {', '.join(missing)}. Copy them as well.")
    return paths


def _each_once(shards: set[Path]) -> dict[str, Path]:
    """Return which file has each tensor. Raises CheckpointError if two have the same."""
    tensors: dict[str, Path] = {}
    for path in sorted(shards):
        for name in _names(path):
            if name in tensors:
                raise CheckpointError(
                    f"{path.parent} has the tensor {name!r} in {tensors[name].name} and in {path.name}, expected "
                    "it once. Copy the checkpoint again into an empty folder."
                )
            tensors[name] = path
    return tensors


def _names(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:  # headers alone: torch is not imported for them
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    if what := foreign_content(path):
        return CheckpointError(f"{path} is {what}.")
    return CheckpointError(f"{path} cannot be read ({error}). Copy the checkpoint again.")
