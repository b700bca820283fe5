"""What the device allows: its copy bandwidth and matrix rate, measured, and what they leave for a forward pass."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass

import torch
from gpu_parts.clock import Clock
from transformers import Qwen3Config


@dataclass(frozen=True)
class Rates:
    """What was measured here."""

    copy_bytes_per_s: float
    """Bytes read and written by a copy on the device."""
    bf16_flop_per_s: float
    """Of a large product in bf16."""
    fp8_flop_per_s: float | None
    """Of a large product in fp8; None where PyTorch has none here."""

    def to_json(self) -> dict[str, float | None]:
        """Return it for the results."""
        return asdict(self)


def measure_rates(clock: Clock) -> Rates:
    """Measure both on this device."""
    large = clock.device == "cuda"
    size, side = (2**31, 8192) if large else (2**27, 512)
    copy_ms = _copy_ms(clock, size)
    left, right = (torch.randn(side, side, device=clock.device, dtype=torch.bfloat16) for _ in range(2))
    product_ms = statistics.median(clock.milliseconds(lambda: left @ right))
    operations = 2 * side**3
    return Rates(2000 * size / copy_ms, 1000 * operations / product_ms, _fp8_rate(clock, left, right))


def floors_ms(config: Qwen3Config, batch: int, tokens: int, rates: Rates, weight_bytes: float) -> dict[str, float]:
    """Return the least milliseconds of one forward pass, for a weight of this many bytes on average.

    Bytes: every layer's weights are read once. Operations: the products of every layer, and of attention's scores
    and values over all pairs, as a dense kernel makes them; at fp8's rate where weights have one byte
    and it is known.
    """
    hidden, inner, head = config.hidden_size, config.intermediate_size, config.head_dim
    heads, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    weights = config.num_hidden_layers * (hidden * (2 * heads + 2 * keys) + 3 * hidden * inner)
    attention = config.num_hidden_layers * 4 * heads * tokens * tokens * batch
    operations = 2 * weights * tokens * batch + attention
    narrow = weight_bytes <= 1 and rates.fp8_flop_per_s
    rate = rates.fp8_flop_per_s if narrow else rates.bf16_flop_per_s
    assert rate is not None
    return {
        "bytes_ms": round(1000 * weights * weight_bytes / rates.copy_bytes_per_s, 3),
        "operations_ms": round(1000 * operations / rate, 3),
    }


def _copy_ms(clock: Clock, size: int) -> float:
    source = torch.ones(size, dtype=torch.uint8, device=clock.device)
    target = torch.empty_like(source)
    return statistics.median(clock.milliseconds(lambda: target.copy_(source)))


def _fp8_rate(clock: Clock, left: torch.Tensor, right: torch.Tensor) -> float | None:
    if clock.device != "cuda" or torch.cuda.get_device_capability() < (8, 9):
        return None
    one = torch.ones((), device=clock.device)
    a, b = left.to(torch.float8_e4m3fn), right.T.contiguous().to(torch.float8_e4m3fn).T

    def multiply() -> object:
        return torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    try:
        return 2000 * len(left) ** 3 / statistics.median(clock.milliseconds(multiply))
    except (RuntimeError, ValueError, NotImplementedError):
        return None
