"""Rules of `Attention`."""

from __future__ import annotations

import onnx_ir as ir

from rim_export.linter.rule import Breaches, Rule, label, nodes, number, operand, static_dim

MASK, PAST_KEY, PAST_VALUE, NONPAD = 3, 4, 5, 6
"""Its optional operands."""


def check_type(model: ir.Model) -> Breaches:
    """16 bits."""
    for node in nodes(model, "Attention"):
        if any(value is not None and value.dtype is ir.DataType.FLOAT for value in node.inputs[:3]):
            yield label(node), "attention in fp32"


def check_mask(model: ir.Model) -> Breaches:
    """Causal or masked, not both."""
    for node in nodes(model, "Attention"):
        if operand(node, MASK) is not None and number(node, "is_causal", 0):
            yield label(node), "a mask together with is_causal=1"


def check_cache(model: ir.Model) -> Breaches:
    """No past, no present."""
    for node in nodes(model, "Attention"):
        past = operand(node, PAST_KEY) is not None or operand(node, PAST_VALUE) is not None
        if past or len(node.outputs) > 1:
            yield label(node), "past or present keys and values"


def check_nonpad(model: ir.Model) -> Breaches:
    """No count of valid keys."""
    for node in nodes(model, "Attention"):
        if operand(node, NONPAD) is not None:
            yield label(node), "nonpad_kv_seqlen"


def check_lengths(model: ir.Model) -> Breaches:
    """As many queries as keys, where both are known."""
    for node in nodes(model, "Attention"):
        query, key = operand(node, 0), operand(node, 1)
        axis = 2 if query is not None and query.shape is not None and len(query.shape) == 4 else 1
        lengths = static_dim(query, axis), static_dim(key, axis)
        if None not in lengths and lengths[0] != lengths[1] and number(node, "is_causal", 0):
            yield label(node), f"{lengths[0]} queries on {lengths[1]} keys"


ATTENTION_RULES = (
    Rule("attention-type", check_type, "No kernel has it: cast its operands to fp16 or bf16."),
    Rule("attention-mask", check_mask, "Take causal attention and pad on the right, or a mask with is_causal=0."),
    Rule("attention-cache", check_cache, "They are refused; a single pass has none."),
    Rule("attention-nonpad", check_nonpad, "It is accepted and ignored; pad on the right instead."),
    Rule("attention-lengths", check_lengths, "Causal is aligned at the upper left here: keep them equal."),
)
