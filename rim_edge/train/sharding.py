"""Sharding (FSDP2): every process holds a share of each layer's weights, of their gradients and of their moments.

A layer is put together when it is needed and taken apart behind that. What does not learn and lies outside the
layers, the frozen vocabulary, stays whole everywhere: it has neither gradient nor moments, and would be held from
the first layer to the last anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(module: nn.Module, device: torch.device, processes: int) -> nn.Module:
    """Share a module's parameters among the processes, in place; it computes on `device`. All must call it."""
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
    """Return the tensors, shared ones whole and in main memory. All processes must call it.

    One tensor is put together at a time; a process that does not `keep` them gets nothing and holds no more.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor
        if keep:
            kept[name] = whole
    return kept


def take_shares(values: Mapping[str, Tensor], parameter: Tensor) -> dict[str, Tensor]:
    """Return a parameter's moments as the parameter itself is held: whole, or this process's shares of them."""
    return {name: _as_held(value, parameter) for name, value in values.items()}


def unshard(module: nn.Module, *, keep: bool) -> None:
    """Give a module plain parameters again, in main memory, where it is to `keep` them. All must call it."""
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
