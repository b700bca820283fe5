"""The projection head that is trained: it makes the next input of the last state.

Linear → GELU → Linear → LayerNorm, all of the model's width, with PyTorch's own initial weights; the cards say no
others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rim_export.checkpoint.projection_head import find_projection_head, read_projection_head
from rim_export.errors import CheckpointError
from torch import Tensor, nn

HEAD = "projection_head"
"""The name of the head in the model that it is trained with, and of its file without the suffix."""


class TrainedHead(nn.Module):
    """The head, with the names of the cards' own files."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.LayerNorm(width))

    def forward(self, states: Tensor) -> Tensor:
        """Return the vectors that are read next, [rows, width], of states [rows, width]."""
        return self.mlp(states)  # type: ignore[no-any-return]


def add_head(model: Any, folder: Path | None) -> None:
    """Give a model a head in place: that of its checkpoint's folder, if there is one, or else a new one.

    Raises CheckpointError for a head of another form or width.
    """
    width = int(model.get_input_embeddings().weight.shape[1])
    head = TrainedHead(width)
    path = None if folder is None else find_projection_head(folder)
    if path is not None:
        head.load_state_dict(_state(path, width))
    model.add_module(HEAD, head)


def _state(path: Path, width: int) -> dict[str, Tensor]:
    read = read_projection_head(path, width)
    if read.norm is None or read.first.weight.shape[0] != width:
        raise CheckpointError(
            f"The projection head {path} is {'without a norm' if read.norm is None else 'wider inside'}, expected "
            "QThink's: Linear, GELU, Linear, LayerNorm, all of the model's width. Remove it to train a new one."
        )
    layers = (("0", read.first), ("2", read.second), ("3", read.norm))
    return {f"mlp.{name}.{field}": getattr(part, field) for name, part in layers for field in ("weight", "bias")}


def take_head(model: Any) -> dict[str, Tensor]:
    """Remove the head from a model, and return its weights by name; none where it has no head."""
    head = getattr(model, HEAD, None)
    if head is None:
        return {}
    delattr(model, HEAD)
    return dict(head.state_dict())
