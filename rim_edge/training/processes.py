"""The processes of a run: one, or as many as `accelerate launch` or `torchrun` started, each with its own device.

Every process draws the whole batch and takes every n-th example of it, so the examples do not depend on the
number of processes. Only the first one writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from rim_edge.errors import CurriculumError, DeviceError
from rim_edge.recipe.recipe import Sharding

T = TypeVar("T")


class Processes:
    """One of the processes of a run, through accelerate."""

    def __init__(self, sharding: Sharding = Sharding.NONE, device: str | None = None) -> None:
        """`device` is torch's name of one; None: the first GPU, else the CPU.

        Several processes have their devices from what started them, and take `cpu` alone. Raises DeviceError and
        CurriculumError.
        """
        from accelerate import Accelerator, DistributedType
        from accelerate.utils import patch_environment

        chosen = None if device is None else usable_device(device)
        on_cpu = not torch.accelerator.is_available() if chosen is None else chosen.type == "cpu"
        with patch_environment(**({} if chosen is None else {"accelerate_torch_device": str(chosen)})):
            # without cpu=True accelerate finds no other processes on a machine without a GPU; the recipe sets the
            # precision, not the launcher
            self._accelerator: Any = Accelerator(cpu=on_cpu, mixed_precision="no")
        if chosen is not None and not on_cpu and self.count > 1:
            raise CurriculumError(
                f"Got the device {device} for {self.count} processes, expected none: what starts them gives each "
                "its own. Leave --device out."
            )
        asked = self._accelerator.distributed_type == DistributedType.FSDP
        self._sharded = self.count > 1 and (asked or sharding is Sharding.LAYERS)

    @property
    def is_sharded(self) -> bool:
        """Whether each process holds a shard of the layers."""
        return self._sharded

    @property
    def count(self) -> int:
        """Number of processes."""
        return int(self._accelerator.num_processes)

    @property
    def is_first(self) -> bool:
        """Whether this process writes and reports."""
        return bool(self._accelerator.is_main_process)

    @property
    def number(self) -> int:
        """Index of this process, from 0."""
        return int(self._accelerator.process_index)

    @property
    def device(self) -> torch.device:
        """The device that this process computes on."""
        return torch.device(self._accelerator.device)

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this process's share: every n-th item. Raises CurriculumError where some would get none."""
        if len(items) < self.count:
            raise CurriculumError(
                f"A batch of {len(items)} cannot be shared among {self.count} processes. "
                "Raise [curriculum] batch_size, or start fewer."
            )
        return list(items[self.number :: self.count])

    def prepare(self, module: torch.nn.Module) -> torch.nn.Module:
        """Put a module on the device; with several processes, make its backward pass average gradients."""
        if self._sharded:
            return shard(module, self.device, self.count)
        prepared: torch.nn.Module = self._accelerator.prepare_model(module)
        return prepared

    def passes(self, own: int) -> int:
        """Return how many passes a step takes in every process; this one needs `own`.

        Sharded layers are put together in each pass, so all processes must make equally many.
        """
        return max(self.gather(own)) if self._sharded else own

    @contextmanager
    def backward(self, module: torch.nn.Module, *, last: bool) -> Iterator[None]:
        """Exchange gradients only in the last pass of a step; with sharded layers, in every pass."""
        if last or self._sharded or self.count == 1:
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
        """Wait for all processes, then leave the group."""
        if self.count > 1:
            self._accelerator.wait_for_everyone()
            self._accelerator.end_training()


def usable_device(name: str) -> torch.device:
    """Return the device of this name. Raises DeviceError where torch has none here."""
    kinds = ["cpu", *([str(torch.accelerator.current_accelerator())] if torch.accelerator.is_available() else [])]
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    count = 1 if device is None or device.type == "cpu" else torch.accelerator.device_count()
    if device is None or device.type not in kinds or (device.index or 0) >= count:
        raise DeviceError(f"There is no device {name} here, expected one of: {', '.join(kinds)}.")
    return device


def shard(module: nn.Module, device: torch.device, processes: int) -> nn.Module:
    """Shard a module's parameters over the processes, in place; it computes on `device`. All must call it."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers.modeling_layers import GradientCheckpointingLayer

    mesh = init_device_mesh(device.type, (processes,))
    layers = [part for part in module.modules() if isinstance(part, GradientCheckpointingLayer)]
    inside = {id(parameter) for layer in layers for parameter in layer.parameters()}
    outside = [parameter for parameter in module.parameters() if id(parameter) not in inside]
    whole_ones = {parameter for parameter in outside if not parameter.requires_grad}
    for parameter in whole_ones:
        parameter.data = parameter.data.to(device)
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh, ignored_params=whole_ones)
    return module


def put_together(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Return the tensors, sharded ones whole and in main memory. All processes must call it.

    One tensor is put together at a time; a process that does not `keep` them gets none and holds no more.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor
        if keep:
            kept[name] = whole
    return kept


def take_shares(values: Mapping[str, Tensor], parameter: Tensor) -> dict[str, Tensor]:
    """Return a parameter's moments in the parameter's own form: whole, or this process's shards."""
    return {name: _as_held(value, parameter) for name, value in values.items()}


def unshard(module: nn.Module, *, keep: bool) -> None:
    """Make a module's parameters plain ones in main memory, in processes that `keep` them. All must call it."""
    plain: dict[DTensor, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if not isinstance(parameter, DTensor):
                continue
            if parameter not in plain:  # a tied one comes twice
                whole = put_together({name: parameter.detach()}, keep=keep).get(name, torch.empty(0))
                plain[parameter] = nn.Parameter(whole, parameter.requires_grad)
            if keep:
                setattr(part, name, plain[parameter])


def _as_held(value: Tensor, parameter: Tensor) -> Tensor:
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    on_device = value.to(parameter.device)
    return distribute_tensor(on_device, parameter.device_mesh, parameter.placements, src_data_rank=None)
