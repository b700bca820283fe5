"""Low-rank adapters (LoRA, through peft) on every matrix of the layers, and dropout while a stage trains."""

from __future__ import annotations

from typing import Any

from torch import nn

from rim_edge.train.errors import CurriculumError
from rim_edge.train.recipe import Lora

_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def add_adapters(model: Any, lora: Lora) -> Any:
    """Freeze the model's layers, give each of their matrices an adapter in place, and return peft's wrapper.

    Raises CurriculumError for a rank that is no lower than the matrices' own.
    """
    from peft import LoraConfig, LoraModel

    full = min(min(module.weight.shape) for name, module in model.named_modules() if name.endswith(_MATRICES))
    if lora.rank > full:
        raise CurriculumError(
            f"lora.rank is {lora.rank}, expected {full} at most: the model has matrices that are no larger. "
            "Lower the rank, or train whole layers (--lora-rank 0)."
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.rank * lora.scale,
        lora_dropout=0.5,  # any value above 0 makes the module; every stage sets its own
        target_modules=list(_MATRICES),
        bias="none",
    )
    return LoraModel(model, config, "default")


def merge_adapters(wrapper: Any) -> Any:
    """Add the adapters to their matrices and return the plain model."""
    return wrapper.merge_and_unload()


def set_dropout(model: nn.Module, rate: float) -> None:
    """Set the dropout of the adapters where there are some, else that of the attention."""
    adapters = [module for name, module in model.named_modules() if ".lora_dropout." in name]
    for module in adapters:
        if isinstance(module, nn.Dropout):
            module.p = rate
    if not adapters:
        for module in model.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = rate  # type: ignore[assignment]
