"""Large parameters that take no memory: all rows of one are the same few bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

LARGE = 1 << 20
"""Elements from which on a parameter is one."""


class WithoutMemory(TorchFunctionMode):
    """Inside it, `torch.empty` returns large tensors whose rows share their memory: for shapes, not for values.

    Memory that nobody writes is still reserved, and systems that promise no more than they have refuse that.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call torch's function, or return such a tensor in place of `empty`'s."""
        given = kwargs or {}
        if func is not torch.empty:
            return func(*args, **given)
        sizes = torch.Size(args[0] if len(args) == 1 and not isinstance(args[0], int) else args)
        if sizes.numel() < LARGE:
            return func(*args, **given)
        return func((1, *sizes[1:]), **given).expand(sizes)
