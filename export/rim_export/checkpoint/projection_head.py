"""The projection head of a model with latent steps: it makes the next input of the last state.

Linear → GELU → Linear → LayerNorm, as QThink and CODI have it; CODI also without the norm. PyTorch's defaults: the
exact GELU, and 1e-5 in the norm. A pickled head is opened as tensors alone: nothing in it can run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_export.checkpoint.contents import foreign_content
from rim_export.errors import CheckpointError

if TYPE_CHECKING:
    import torch

HEAD_FILES = ("projection_head.safetensors", "projection_head.pt")
"""Names under which a checkpoint has its head; the first that is there counts."""
_TORCH_FILES = (b"PK", b"\x80\x02")
"""Beginnings of what torch.save writes, now and earlier."""
_EXPECTED = "Linear, GELU, Linear and, if there is one, LayerNorm, each with weight and bias"


@dataclass(frozen=True)
class Affine:
    """A linear layer, or a norm's gain and bias."""

    weight: torch.Tensor
    """fp32 [outputs, inputs], or [channels]."""
    bias: torch.Tensor
    """fp32 [outputs]."""


@dataclass(frozen=True)
class ProjectionHead:
    """A head's weights."""

    path: Path
    """The file that it was read from."""
    first: Affine
    """From the model's channels."""
    second: Affine
    """To the model's channels."""
    norm: Affine | None
    """Behind it; None: there is no norm."""

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """Return what torch makes of states, fp32 [rows, channels]."""
        from torch.nn import functional

        inner = functional.gelu(functional.linear(states, self.first.weight, self.first.bias))
        found = functional.linear(inner, self.second.weight, self.second.bias)
        if self.norm is None:
            return found
        return functional.layer_norm(found, found.shape[-1:], self.norm.weight, self.norm.bias)


def find_projection_head(folder: Path) -> Path | None:
    """Return a checkpoint's head, if it has one."""
    return next((folder / name for name in HEAD_FILES if (folder / name).is_file()), None)


def read_projection_head(path: Path, width: int) -> ProjectionHead:
    """Read a head for a model of so many channels. Raises CheckpointError."""
    tensors = _read(path)
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = tensor
    parts = [modules[name] for name in sorted(modules, key=_in_order)]
    forms = [part["weight"].ndim if set(part) == {"weight", "bias"} else 0 for part in parts]
    if forms not in ([2, 2], [2, 2, 1]):
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(tensors.items()))
        raise CheckpointError(f"{path} has {shapes or 'no tensors'}, expected those of {_EXPECTED}.")
    first, second, *norm = (Affine(part["weight"].float(), part["bias"].float()) for part in parts)
    _check(path, first, second, norm, width)
    return ProjectionHead(path, first, second, norm[0] if norm else None)


def _in_order(module: str) -> list[tuple[bool, int, str]]:
    """Return what puts modules of a Sequential in its order: by number, and what has a name behind those."""
    parts = module.split(".")
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _check(path: Path, first: Affine, second: Affine, norm: list[Affine], width: int) -> None:
    inner = first.weight.shape[0]
    shapes = [tuple(tensor.shape) for one in (first, second, *norm) for tensor in (one.weight, one.bias)]
    if shapes != [(inner, width), (inner,), (width, inner), (width,), *2 * len(norm) * [(width,)]]:
        ins, outs = first.weight.shape[1], second.weight.shape[0]
        raise CheckpointError(
            f"The projection head {path} goes from {ins} channels to {outs} (shapes {shapes}), the model has "
            f"{width}: they do not belong together. Give the head that was trained with this model."
        )
    if not all(tensor.isfinite().all() for one in (first, second, *norm) for tensor in (one.weight, one.bias)):
        raise CheckpointError(f"The projection head {path} has weights that are not finite. Copy it again.")


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    import torch

    if not path.is_file():
        raise CheckpointError(f"There is no projection head {path}, expected one of {' or '.join(HEAD_FILES)}.")
    found = _tensors(path)
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
        for name, tensor in found.items()
    ):
        raise CheckpointError(f"{path} holds no tensors by name, expected the state_dict of a projection head.")
    return found


def _tensors(path: Path) -> Any:
    """Return the content of a file of tensors, not checked yet."""
    import torch
    from safetensors.torch import load_file

    try:
        with path.open("rb") as file:
            is_torch = file.read(2) in _TORCH_FILES
        if path.suffix == ".safetensors":
            return load_file(path)
        if is_torch:
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
        reason = re.split(r"[.\n]", f"{type(error).__name__}: {error}", maxsplit=1)[0]
        raise CheckpointError(
            f"The projection head {path} cannot be read as tensors alone ({reason}). Nothing in it was run. Save "
            "the head's state_dict as safetensors."
        ) from None
    raise CheckpointError(
        f"The projection head {path} is {foreign_content(path) or 'no file of torch.save or safetensors'}. "
        "Copy it again."
    )
