"""Rotation: weights turned by orthogonal matrices, so that no channel of an activation stands out.

A model computes the same if what flows between two of its matrices is turned by an orthogonal matrix and both
matrices are turned to fit. Turned activations have no outlier channels, and int8 rounds them four times as finely.

| what is turned | where the turn is folded in | after |
| --- | --- | --- |
| the residual stream | the table, every projection that reads or writes it, the readout | QuaRot, SpinQuant (R1) |
| values, a head | the value and the output projection | SpinQuant (R2) |
| the MLP's product, in blocks of 64 channels | `down_proj`; the activation is turned in the graph | QuaRot (R4) |

The gain of an RMSNorm is multiplied into the projections behind it first, and becomes 1: the norm itself does not
change a turn. (QuaRot: Ashkboos et al., arXiv:2404.00456; SpinQuant: Liu et al., arXiv:2405.16406.)

The matrices are products of random signs and of Kronecker factors, Sylvester's Hadamard matrices and at most one
small discrete cosine transform: the same on every machine, and fast to multiply. Folding is done in fp64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import torch

BLOCK = 64
"""Channels that are turned together in the graph: longer blocks cost more time and err hardly less."""
_LARGEST_FACTOR = 64
_VALUES_AT_ONCE = 1 << 20


class Basis(Enum):
    """What the channels of an activation are, in a rotated model."""

    OWN = auto()
    """As in the checkpoint."""
    STREAM = auto()
    """The residual stream, turned as a whole."""
    HEADS = auto()
    """Values, turned head by head."""
    BLOCKS = auto()
    """The MLP's product, turned in blocks."""


@dataclass(frozen=True)
class Turn:
    """How one tensor of a rotated model differs from the checkpoint's."""

    inputs: Basis = Basis.OWN
    """The basis of a matrix's columns."""
    outputs: Basis = Basis.OWN
    """The basis of a matrix's rows, or of a bias."""
    gain: str | None = None
    """The norm whose gain its columns are multiplied by, by the graph's name of it."""
    is_gain: bool = False
    """Whether it is such a gain, and becomes 1."""


@dataclass(frozen=True)
class Rotation:
    """A model's rotation."""

    turns: Mapping[str, Turn]
    """What is turned, by the graph's names; other tensors are unchanged."""
    gains: Mapping[str, torch.Tensor]
    """The folded gains, fp64 [hidden], by the graph's names."""
    head_size: int
    """Channels of a head."""
    block: int
    """Channels of a block, a power of two; 1: blocks are not turned."""
    _known: dict[tuple[Basis, int], Orthogonal] = field(default_factory=dict, repr=False, compare=False)

    def fold(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return the rotated model's tensor, fp32, from the checkpoint's; unchanged if nothing turns it."""
        turn = self.turns.get(name)
        if turn is None:
            return tensor
        if turn.is_gain:
            return torch.ones_like(tensor, dtype=torch.float32)
        if tensor.ndim == 1:
            return self.orthogonal(turn.outputs, len(tensor)).turn(tensor.double()).float()
        found = torch.empty(tensor.shape, dtype=torch.float32)
        columns = self.orthogonal(turn.inputs, tensor.shape[1])
        gain = torch.ones((), dtype=torch.float64) if turn.gain is None else self.gains[turn.gain]
        for old, new in _pieces(tensor, found, axis=0):
            new.copy_(columns.turn(old.double() * gain))
        if turn.outputs is not Basis.OWN:
            rows = self.orthogonal(turn.outputs, len(found))
            for old, new in _pieces(found, found, axis=1):
                new.copy_(rows.turn(old.double().contiguous(), axis=0))
        return found

    def turn_input(self, name: str, activations: torch.Tensor) -> torch.Tensor:
        """Return what the rotated product takes, fp32 [..., in], from what the checkpoint's takes."""
        turn = self.turns.get(name, Turn())
        if turn.gain is not None:
            gain = self.gains[turn.gain].float()
            activations = torch.where(gain == 0, torch.zeros(()), activations / gain)
        return self.orthogonal(turn.inputs, activations.shape[-1]).turn(activations)

    def turn_output(self, name: str, products: torch.Tensor) -> torch.Tensor:
        """Return the rotated model's products, fp32 [..., out], from the checkpoint's."""
        return self.orthogonal(self.turns.get(name, Turn()).outputs, products.shape[-1]).turn(products)

    def turn_back(self, name: str, products: torch.Tensor) -> torch.Tensor:
        """Return the checkpoint's products, fp32 [..., out], from the rotated model's."""
        outputs = self.turns.get(name, Turn()).outputs
        return self.orthogonal(outputs, products.shape[-1]).turn_back(products)

    def online(self, name: str) -> torch.Tensor | None:
        """Return the matrix [block, block] that turns a product's activation in the graph, if one does."""
        if self.turns.get(name, Turn()).inputs is not Basis.BLOCKS:
            return None
        return self.orthogonal(Basis.BLOCKS, self.block).turn(torch.eye(self.block, dtype=torch.float64)).float()

    def orthogonal(self, basis: Basis, width: int) -> Orthogonal:
        """Return the matrix that turns activations of this many channels."""
        size = {Basis.OWN: 1, Basis.STREAM: width, Basis.HEADS: self.head_size, Basis.BLOCKS: self.block}[basis]
        if (basis, size) not in self._known:
            self._known[basis, size] = Orthogonal.of(size, seed=basis.value)
        return self._known[basis, size]


@dataclass(frozen=True)
class Orthogonal:
    """An orthogonal matrix diag(signs) (F1 ⊗ F2 ⊗ …) that acts on parts of a last axis, each as long as it."""

    signs: torch.Tensor
    """fp64 [size], 1 or -1."""
    factors: Sequence[torch.Tensor]
    """fp64, orthogonal, square."""

    @classmethod
    def of(cls, size: int, seed: int) -> Orthogonal:
        """Return the matrix of this size: Hadamard for its power of two, a cosine transform for the rest."""
        even = size & -size
        sizes = []
        while even > 1:
            sizes.append(min(even, _LARGEST_FACTOR))
            even //= sizes[-1]
        odd = size // (size & -size)
        factors = [hadamard(one) for one in sizes] + ([cosine(odd)] if odd > 1 else [])
        return cls(_signs(size, seed) if size > 1 else torch.ones(1, dtype=torch.float64), factors)

    @property
    def transposed(self) -> Sequence[torch.Tensor]:
        """The factors of its transpose."""
        return [factor.T for factor in self.factors]

    def turn(self, values: torch.Tensor, axis: int = -1) -> torch.Tensor:
        """Return values, whose axis has parts × size channels, times the matrix along it, in their dtype."""
        parts = self._parts(values, axis) * self.signs.to(values.dtype)[:, None]
        return _multiplied(parts, [factor.T for factor in self.factors]).reshape(values.shape)

    def turn_back(self, values: torch.Tensor) -> torch.Tensor:
        """Return values times the matrix's transpose along the last axis, which undoes `turn`."""
        plain = _multiplied(self._parts(values, -1), self.factors)
        return (plain * self.signs.to(values.dtype)[:, None]).reshape(values.shape)

    def _parts(self, values: torch.Tensor, axis: int) -> torch.Tensor:
        """Return values as [parts, size, rest]."""
        rest = math.prod(values.shape[axis % values.ndim + 1 :])
        return values.reshape(-1, len(self.signs), rest)


def _multiplied(parts: torch.Tensor, factors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return values [parts, size, rest] multiplied by the Kronecker product of these factors along the size."""
    found, done = parts, len(parts)
    for factor in factors:
        own = factor.to(parts.dtype)
        cube = found.reshape(done, len(own), -1)
        found = torch.matmul(own, cube) if cube.shape[-1] > 1 else cube.squeeze(-1) @ own.T
        done *= len(own)
    return found.reshape(parts.shape)


def hadamard(size: int) -> torch.Tensor:
    """Return Sylvester's Hadamard matrix of a power of two, normalised: fp64 [size, size], symmetric."""
    matrix = torch.ones(1, 1, dtype=torch.float64)
    while len(matrix) < size:
        matrix = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64), matrix)
    return matrix / math.sqrt(size)


def cosine(size: int) -> torch.Tensor:
    """Return the orthonormal discrete cosine transform (DCT-II), fp64 [size, size]."""
    rows = [
        [
            math.sqrt((1 if row == 0 else 2) / size) * math.cos(math.pi * row * (2 * column + 1) / (2 * size))
            for column in range(size)
        ]
        for row in range(size)
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _signs(size: int, seed: int) -> torch.Tensor:
    """Return random signs from a linear congruential generator (Knuth's MMIX), the same everywhere."""
    state, signs = seed, []
    for _ in range(size):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        signs.append(1.0 if state >> 63 else -1.0)
    return torch.tensor(signs, dtype=torch.float64)


def _pieces(old: torch.Tensor, new: torch.Tensor, axis: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield two matrices piece by piece along an axis, so that copies in fp64 stay small."""
    length = max(1, _VALUES_AT_ONCE // old.shape[1 - axis])
    yield from zip(torch.split(old, length, axis), torch.split(new, length, axis), strict=True)
