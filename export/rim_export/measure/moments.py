"""Second moments of the inputs of linear modules, H = Σ x xᵀ over all tokens, for GPTQ (recipes/gptq.py).

Modules that take the same activation (q, k and v; gate and up) share one H. A wide input is cut into parts, and
errors are made up for within each: at the geometry of Qwen3-1.7B, the MLP's 6,144 channels in three parts take a
third of the time to count and a ninth to factorize.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from rim_export.recipes.gptq import Feedback

MOST_TOGETHER = 2048
"""Inputs that make up for each other, at most. SmolLM2's 1,536 in three parts measured as well as in one."""


Turn = Callable[[str, torch.Tensor], torch.Tensor]
"""(name of a weight, inputs [tokens, in]) to inputs of that shape."""


class Moments:
    """The second moments of one layer's products."""

    def __init__(self, turn: Turn | None = None) -> None:
        """`turn` makes a product's inputs, by its name, what the matrix that is rounded takes; None: nothing."""
        self._turn = turn
        self._sums: dict[str, list[torch.Tensor]] = {}
        self._sharers: dict[str, str] = {}
        self._last: tuple[str, torch.Tensor] | None = None

    def add(self, name: str, inputs: torch.Tensor) -> None:
        """Count the inputs, fp32 [tokens, in], of the product with the weight `name`."""
        owner = self._sharers.setdefault(name, self._owner(name, inputs))
        if owner != name:
            return
        self._last = (name, inputs)
        taken = inputs if self._turn is None else self._turn(name, inputs)
        parts = torch.split(taken, MOST_TOGETHER, dim=1)
        if name not in self._sums:
            self._sums[name] = [torch.zeros(part.shape[1], part.shape[1]) for part in parts]
        for total, part in zip(self._sums[name], parts, strict=True):
            total.addmm_(part.T, part)

    @property
    def sharers(self) -> Mapping[str, Sequence[str]]:
        """The products of each activation, by the first of them."""
        found: dict[str, list[str]] = {}
        for name, owner in self._sharers.items():
            found.setdefault(owner, []).append(name)
        return found

    @property
    def are_finite(self) -> bool:
        """Whether all sums are finite numbers."""
        return all(total.isfinite().all() for parts in self._sums.values() for total in parts)

    def sums(self, name: str) -> Sequence[torch.Tensor]:
        """Return the second moments of a product's inputs, in parts: fp32 [inputs, inputs] each."""
        return self._sums[self._sharers[name]]

    def feedback(self, owner: str) -> Sequence[Feedback]:
        """Return the feedback of the inputs of one activation, in parts."""
        return [Feedback.of(total) for total in self.sums(owner)]

    def _owner(self, name: str, inputs: torch.Tensor) -> str:
        """Return the weight whose product took the same inputs just before, or else this one."""
        if self._last is not None and torch.equal(self._last[1], inputs):
            return self._last[0]
        return name
