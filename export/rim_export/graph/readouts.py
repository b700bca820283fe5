"""The trace: one pass that reads the answer out after every memory block, 0..K.

| tensor                 | type, shape                   | meaning                                      |
| ---------------------- | ----------------------------- | -------------------------------------------- |
| in `question_ids`      | int64 [batch, length]         | the question segment, right-padded            |
| in `question_length`   | int64 [batch]                 | its length                                   |
| out `letter_logits`    | float32 [batch, K+1, letters] | letter logits behind 0, 1, …, K blocks        |
| out `logits`           | float32 [batch, K+1, vocab]   | of the first token of a text, where asked for |

With the full output projection, the only output is `logits`.

A row is `[head][question][tail][K blocks][prefix after 0 blocks]…[prefix after K blocks][padding]`. A prefix
stands at the positions right behind its block and sees everything up to it, and its own tokens. No block sees a
prefix. So logits are those of K + 1 single passes, and only the prefixes are read more than once. Training packs
its readouts the same way.
"""

from __future__ import annotations

from typing import Any

import torch
from rim_runtime.bundle.manifest import Head
from rim_runtime.prompt.contract import PromptContract
from torch import nn

from rim_export.graph.attention import MASKED, register_masked_attention
from rim_export.graph.convert import Example, UnboundGraph, tidy, trace, unbound_graph
from rim_export.graph.projection import Projection, use_projections
from rim_export.graph.readout_row import gather_readout_row_early
from rim_export.graph.skeleton import BACKBONE, anatomy_of, skeleton

INPUTS = ("question_ids", "question_length")
LETTER_LOGITS, LOGITS = "letter_logits", "logits"
_TRUNK = 0


class Readouts(nn.Module):
    """Question in, logits after every block out."""

    def __init__(
        self, backbone: nn.Module, readout: Projection, lm_head: Projection | None, contract: PromptContract
    ) -> None:
        """Take the parts of a model; `lm_head` None: no text is read."""
        super().__init__()
        self.backbone = backbone
        self.readout = readout
        self.lm_head = lm_head
        self.ids: torch.Tensor  # of what follows the question, token by token, as the next three
        self.offset: torch.Tensor  # position, counted from the question's end
        self.owner: torch.Tensor  # 0: tail and blocks; k + 1: the prefix after k blocks
        self.horizon: torch.Tensor  # the first place, counted likewise, of the trunk that is not seen
        self.last: torch.Tensor  # (K+1), counted likewise: where each prefix ends
        for name, values in _after_question(contract).items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64))
        self.head: torch.Tensor
        self.register_buffer("head", torch.tensor(contract.head, dtype=torch.int64))

    def forward(self, question_ids: torch.Tensor, question_length: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compose the packed row, run the backbone, read out at each prefix's last token."""
        batch = question_ids.shape[0]
        # As in the single pass, what follows the question lies before it here: no index depends on the padding.
        parts = torch.cat([self.head.expand(batch, -1), self.ids.expand(batch, -1), question_ids], dim=1)
        place = torch.arange(parts.shape[1]).expand(batch, -1)  # (B, S)
        head, reach = self.head.shape[0], self.ids.shape[0]
        end = (head + question_length)[:, None]  # (B, 1), where the question ends
        after = (place - end).clamp(0, reach - 1)  # padding repeats the last token, unseen
        source = torch.where(place < end, place + reach, after + head)
        ids = parts.gather(1, torch.where(place < head, place, source))
        is_question = place < end
        positions = torch.where(is_question, place, end + self.offset[after])
        horizon = torch.where(is_question, end, end + self.horizon[after])
        owner = torch.where(is_question, _TRUNK, self.owner[after])
        seen = (place[:, None, :] < horizon[:, :, None]) | (owner[:, None, :] == owner[:, :, None])
        causal = place[:, None, :] <= place[:, :, None]
        hidden = self.backbone(
            input_ids=ids, attention_mask=(seen & causal)[:, None], position_ids=positions, use_cache=False
        ).last_hidden_state
        last = end + self.last[None]  # (B, K+1)
        rows = hidden.gather(1, last[:, :, None].expand(-1, -1, hidden.shape[-1]))
        found = self.readout(rows)
        return (found,) if self.lm_head is None else (found, self.lm_head(rows))


def _after_question(contract: PromptContract) -> dict[str, list[int]]:
    """Return what follows the question, token by token, and where in it each prefix ends."""
    ids = [*contract.tail, *contract.blocks * contract.block]
    offset, owner, horizon = list(range(len(ids))), len(ids) * [_TRUNK], list(range(1, len(ids) + 1))
    last = []
    for blocks in range(contract.blocks + 1):
        start, length = len(contract.tail) + blocks * len(contract.block), len(contract.prefix)
        ids += contract.prefix
        offset += range(start, start + length)
        owner += length * [blocks + 1]
        horizon += length * [start]
        last.append(len(ids) - 1)
    return {"ids": ids, "offset": offset, "owner": owner, "horizon": horizon, "last": last}


def convert_trace(
    config: Any, contract: PromptContract, letters: int, head: Head, with_text: bool
) -> UnboundGraph:
    """Return the trace's graph of a transformers config, opset 23, batch and length dynamic."""
    register_masked_attention()
    language_model = skeleton(config, MASKED)
    backbone, table = language_model.base_model, anatomy_of(language_model).table
    use_projections(backbone)
    width, vocabulary = int(config.hidden_size), int(config.vocab_size)
    readout = Projection(width, letters if head is Head.LETTERS else vocabulary)
    reads_more = with_text and head is Head.LETTERS
    module = Readouts(backbone, readout, Projection(width, vocabulary) if reads_more else None, contract).eval()
    outputs = (LETTER_LOGITS, *((LOGITS,) if reads_more else ())) if head is Head.LETTERS else (LOGITS,)
    example = Example(
        (torch.zeros(2, 13, dtype=torch.int64), torch.tensor([13, 7])),
        ({0: "batch", 1: "length"}, {0: "batch"}),
        INPUTS,
        outputs,
    )
    model = trace(module, example)
    gather_readout_row_early(model.graph)
    tidy(model, "rim_trace")
    return unbound_graph(model, module, f"{BACKBONE}.{table}")
