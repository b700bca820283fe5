"""Second moments of the inputs of linear modules: H = Σ x xᵀ over all tokens.

Modules that take the same activation (q, k and v; gate and up) share one H. At the geometry of Qwen3-1.7B, the
largest has 6,144² numbers, 151 MB, and those of a layer together 200 MB.
"""

from __future__ import annotations

import torch


class Moments:
    """The second moments of one layer's products."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._sharers: dict[str, str] = {}
        self._last: tuple[str, torch.Tensor] | None = None

    def add(self, name: str, inputs: torch.Tensor) -> None:
        """Count the inputs, fp32 [tokens, in], of the product with the weight `name`."""
        owner = self._sharers.setdefault(name, self._owner(name, inputs))
        if owner != name:
            return
        self._last = (name, inputs)
        if name not in self._sums:
            self._sums[name] = torch.zeros(inputs.shape[1], inputs.shape[1])
        self._sums[name].addmm_(inputs.T, inputs)

    def of(self, name: str) -> torch.Tensor:
        """Return the second moments of a product's inputs, fp32 [in, in]."""
        return self._sums[self._sharers[name]]

    def _owner(self, name: str, inputs: torch.Tensor) -> str:
        """Return the weight whose product took the same inputs just before, or else this one."""
        if self._last is not None and torch.equal(self._last[1], inputs):
            return self._last[0]
        return name
