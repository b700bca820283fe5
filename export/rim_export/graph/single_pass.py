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

import torch
from rim_runtime.prompt.contract import PromptContract
from torch import nn

from rim_export.graph.projection import Projection

INPUTS = ("question_ids", "question_length", "blocks")


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
