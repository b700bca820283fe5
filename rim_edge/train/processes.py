"""The processes of a run: one, or as many as `accelerate launch` or `torchrun` started, each with its own device.

Every process draws the whole batch and takes every n-th example of it, so that the examples do not depend on how
many there are. Only the first one writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class Processes:
    """One process among its fellows, through accelerate."""

    def __init__(self) -> None:
        from accelerate import Accelerator

        # accelerate looks for fellows without a GPU only where it is told that there is none
        self._accelerator: Any = Accelerator(cpu=not torch.accelerator.is_available())

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._accelerator.num_processes)

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return bool(self._accelerator.is_main_process)

    @property
    def number(self) -> int:
        """Which of them it is, from 0."""
        return int(self._accelerator.process_index)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device(self._accelerator.device)

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this process's share: every n-th item."""
        return list(items[self.number :: self.count])

    def prepare(self, module: torch.nn.Module) -> torch.nn.Module:
        """Put a module on the device; with several processes, make its backward pass average gradients."""
        prepared: torch.nn.Module = self._accelerator.prepare_model(module)
        return prepared

    @contextmanager
    def backward(self, module: torch.nn.Module, *, last: bool) -> Iterator[None]:
        """Exchange gradients only in the last of the passes that make a step."""
        if last or self.count == 1:
            yield
            return
        with self._accelerator.no_sync(module):
            yield

    def gather(self, item: T) -> list[T]:
        """Return every process's item, in order."""
        if self.count == 1:
            return [item]
        from accelerate.utils import gather_object

        return list(gather_object([item]))

    def end(self) -> None:
        """Wait for all, and part."""
        if self.count > 1:
            self._accelerator.wait_for_everyone()
            self._accelerator.end_training()
