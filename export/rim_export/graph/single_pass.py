"""The single-pass model as a torch module: prompt composition, backbone, readout (DESIGN 4).

| tensor                 | type, shape             | meaning                                             |
| ---------------------- | ----------------------- | --------------------------------------------------- |
| in `question_ids`      | int64 [batch, length]   | the question segment, right-padded                   |
| in `question_length`   | int64 [batch]           | its length                                           |
| in `blocks`            | int64 [batch]           | memory blocks to use, 0..K (0: no memory)            |
| out `letter_logits`    | float32 [batch, letters]| letter logits at the readout                         |

With the full output projection, the output is `logits`, float32 [batch, vocabulary].

The suffix follows the question directly and padding comes last, so attention is plain causal, without a mask.
The module is a *skeleton*: it has every shape but no weights, and it costs no memory, because pages that are never
written are never resident. Weights are bound to the converted graph afterwards (recipes/recipe.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from rim_runtime.prompt.contract import PromptContract
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM
from transformers.initialization import no_init_weights

from rim_export.errors import CheckpointError

INPUTS = ("question_ids", "question_length", "blocks")
CAUSAL = "rim_causal"


class Projection(nn.Module):
    """A linear layer whose weight has the layout of ONNX's MatMul, [in, out], so no Transpose is needed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs), requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[…, in] -> […, out]."""
        return hidden @ self.weight


class SinglePass(nn.Module):
    """Question in, letter logits out."""

    def __init__(self, backbone: nn.Module, readout: Projection, contract: PromptContract) -> None:
        super().__init__()
        suffixes = [contract.suffix(blocks) for blocks in range(contract.blocks + 1)]
        longest = max(map(len, suffixes))
        padded = [[*suffix, *(longest - len(suffix)) * [0]] for suffix in suffixes]
        self.backbone = backbone
        self.readout = readout
        self.head: torch.Tensor
        self.suffix: torch.Tensor
        self.suffix_length: torch.Tensor
        self.register_buffer("head", torch.tensor(contract.head, dtype=torch.int64))
        self.register_buffer("suffix", torch.tensor(padded, dtype=torch.int64))  # (K+1, longest)
        self.register_buffer("suffix_length", torch.tensor([len(suffix) for suffix in suffixes]))

    def forward(
        self, question_ids: torch.Tensor, question_length: torch.Tensor, blocks: torch.Tensor
    ) -> torch.Tensor:
        """Compose the prompt, run the backbone, read out at the prefix's last token. See the module's table."""
        batch = question_ids.shape[0]
        # The suffix lies before the question here, so that no index depends on the padded length: ONNX Runtime has
        # values of shapes on the CPU, and one that is copied to the GPU keeps it from capturing the graph.
        parts = torch.cat([self.head.expand(batch, -1), self.suffix[blocks], question_ids], dim=1)
        positions = torch.arange(parts.shape[1]).expand(batch, -1)  # (B, S)
        head, reach = self.head.shape[0], self.suffix.shape[1]
        end = (head + question_length)[:, None]  # (B, 1), where the suffix begins
        # After the question the padding is skipped; what runs over the end repeats the last token, unseen.
        after = (positions - question_length[:, None]).clamp(max=head + reach - 1)
        source = torch.where(positions < end, positions + reach, after)
        ids = parts.gather(1, torch.where(positions < head, positions, source))
        hidden = self.backbone(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state
        last = end + self.suffix_length[blocks][:, None] - 1  # (B, 1)
        row = hidden.gather(1, last[:, :, None].expand(-1, -1, hidden.shape[-1])).squeeze(1)
        logits: torch.Tensor = self.readout(row)
        return logits


def skeleton(config: Any) -> Any:
    """Return the transformers causal LM of this config in fp32, its weights in memory that is never written.

    Raises CheckpointError if transformers cannot build it.
    """
    register_causal_attention()
    config._attn_implementation = CAUSAL
    try:
        with no_init_weights():
            return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    except Exception as error:  # noqa: BLE001 (a config's values reach torch, which raises what it likes)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(
            f"The model that config.json describes cannot be built ({reason}). "
            "Copy it from the checkpoint's source again."
        ) from None


def register_causal_attention() -> None:
    """Add plain causal attention without a mask to transformers: one `Attention` node per layer, native GQA."""
    AttentionInterface.register(CAUSAL, _causal_attention)
    AttentionMaskInterface.register(CAUSAL, _no_mask)


def _causal_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    grouped = query.shape[1] != key.shape[1]  # torch's converter refuses GQA with as many key heads as query heads
    output = nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped
    )
    return output.transpose(1, 2), None


def _no_mask(*_: Any, **__: Any) -> None:
    return None


def use_projections(model: nn.Module) -> Sequence[str]:
    """Replace every bias-free linear layer below `model` by a Projection; return the names of their weights."""
    names: list[str] = []
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            if "bias" in dict(module.named_parameters()):
                raise AssertionError(f"{name} has a bias, which no supported architecture has")
            model.set_submodule(name, Projection(module.in_features, module.out_features))
            names.append(f"{name}.weight")
    return names
