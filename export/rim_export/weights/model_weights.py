"""The checkpoint's tensors under the names of the graph, read one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import ml_dtypes
import numpy as np
import torch
from rim_runtime.bundle.manifest import Head

from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError
from rim_export.graph.convert import LM_HEAD, READOUT, UnboundGraph
from rim_export.graph.edit import static_shape
from rim_export.graph.skeleton import Anatomy, anatomy
from rim_export.weights.rotation import Rotation

JOINT = "+"
"""Joins the names of weights that are concatenated for one product (recipes/merge.py)."""


Factors = Mapping[str, torch.Tensor]
"""Factors by the names of the graph's weights."""


@dataclass(frozen=True)
class Smoothing:
    """SmoothQuant's factors (measure/smoothing.py), to be folded into a checkpoint's tensors."""

    columns: Factors = field(default_factory=dict)
    """Factors that multiply a projection's columns and divide its activation, [in]."""
    rows: Factors = field(default_factory=dict)
    """Factors that divide a norm's gain or a projection's rows, [out]."""
    strengths: tuple[float, ...] = ()
    """The strength of each layer."""

    def joined(self, other: Smoothing) -> Smoothing:
        """Return this smoothing together with that of the next layers."""
        return Smoothing(
            dict(self.columns) | dict(other.columns),
            dict(self.rows) | dict(other.rows),
            self.strengths + other.strengths,
        )

    def apply(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return a weight with its factors applied; a weight without factors is unchanged."""
        if name in self.columns:
            tensor = tensor.float() * self.columns[name]
        owner = f"{name.removesuffix('.bias')}.weight" if name.endswith(".bias") else name
        if owner in self.rows:
            rows = self.rows[owner]
            tensor = tensor.float() / (rows[:, None] if tensor.ndim == 2 else rows)
        return tensor


@dataclass(frozen=True)
class ModelWeights:
    """The checkpoint's tensors under the names of the graph, in the checkpoint's layout [out, in]."""

    checkpoint: Checkpoint
    """The checkpoint they are read from."""
    letters: Mapping[str, int]
    """Letter to token id: the rows of a letters-only output projection."""
    head: Head
    """Which rows the output projection has."""
    smoothing: Smoothing = field(default_factory=Smoothing)
    """Factors that are folded in; without any, every tensor is as stored."""
    rotation: Rotation | None = None
    """Turns that are folded in, after the factors; None: nothing is turned."""

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor of the graph in its own dtype, or in fp32 if smoothing or rotation change it.

        Raises CheckpointError if it is missing.
        """
        if JOINT in name:
            return torch.cat([self.read(part) for part in name.split(JOINT)])
        return self.fold(name, self._stored(name))

    def fold(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the checkpoint with factors and turns folded in."""
        tensor = self.smoothing.apply(name, tensor)
        return tensor if self.rotation is None else self.rotation.fold(name, tensor)

    def fold_input(self, name: str, activations: torch.Tensor) -> torch.Tensor:
        """Return what the folded matrix takes, fp32 [..., in], from what the checkpoint's takes."""
        factors = self.smoothing.columns.get(name)
        given = activations if factors is None else activations / factors
        return given if self.rotation is None else self.rotation.turn_input(name, given)

    def dtype(self, name: str) -> torch.dtype:
        """Return the dtype in which the checkpoint stores a tensor of the graph."""
        return self._stored(name).dtype

    @cached_property
    def anatomy(self) -> Anatomy:
        """Where the model's parts are."""
        return anatomy(self.checkpoint.load_config())

    def stored(self, parameter: str) -> torch.Tensor:
        """Return a tensor as it is stored, by transformers' own name. Raises CheckpointError if it is missing.

        A checkpoint of the backbone alone, as GPT-2's, has the names without the backbone's.
        """
        files = self.checkpoint.weights
        bare = parameter.removeprefix(f"{self.anatomy.prefix}.")
        return files.read(parameter if parameter in files.tensors or bare not in files.tensors else bare)

    def stored_readout(self) -> torch.Tensor:
        """Return the rows of the output projection, as they are stored, [letters or vocabulary, hidden]."""
        rows = self.stored(self.anatomy.head)
        return rows if self.head is Head.FULL else rows[list(self.letters.values())]

    def _stored(self, name: str) -> torch.Tensor:
        if name == READOUT:
            return self.stored_readout()
        if name == LM_HEAD:
            return self.stored(self.anatomy.head)
        tensor = self.stored(self.anatomy.stored_name(name))
        return tensor.T if name in self.anatomy.turned else tensor

    def check(self, unbound: UnboundGraph) -> None:
        """Read one row of every tensor. Raises CheckpointError for a missing name or a wrong shape."""
        for name in (*sorted(unbound.matrices), unbound.embedding, *sorted(unbound.vectors)):
            shape = static_shape(unbound.model.graph.initializers[name])
            expected = shape[::-1] if name in unbound.matrices else shape
            found = tuple(self.read(name).shape)
            if found != expected:
                raise CheckpointError(
                    f"The checkpoint's tensor for {name} has shape {list(found)}, config.json says "
                    f"{list(expected)}. Weights and config.json do not belong together."
                )


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a contiguous numpy array; numpy lacks bfloat16 and float8, so they use the ml_dtypes types."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if tensor.dtype is torch.float8_e4m3fn:
        return tensor.view(torch.uint8).numpy().view(ml_dtypes.float8_e4m3fn)
    return tensor.numpy()
