"""Tiny checkpoints with latent steps, and their answers by the loop that QThink's card shows, in transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.latent import CARD_INSTRUCTION
from safetensors.torch import save_file
from torch import nn

from tests.export.conftest import TinyCheckpoint


def qthink_head(width: int, inner: int | None = None) -> nn.Sequential:
    """Return a random head as QThink's card builds it; CODI's inner width may be another."""
    torch.manual_seed(1)
    inner = inner or width
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width), nn.LayerNorm(width)).eval()


def save_pickled(head: nn.Sequential, file: Path) -> None:
    """Save a head as QThink does."""
    torch.save({f"mlp.{name}": tensor for name, tensor in head.state_dict().items()}, file)


def save_as_codi(head: nn.Sequential, file: Path) -> None:
    """Save a head behind a Dropout, and with a norm that has a name, as CODI's is."""
    names = {"0": "prj.1", "2": "prj.3", "3": "prj.ln"}
    tensors = {
        f"{names[key.split('.')[0]]}.{key.split('.')[1]}": tensor for key, tensor in head.state_dict().items()
    }
    save_file(tensors, file)


def say(folder: Path, **entry: Any) -> None:
    """Write the latent contract into config.json."""
    path = folder / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text(encoding="utf-8")), "latent": entry}), encoding="utf-8"
    )


@dataclass(frozen=True)
class LatentCheckpoint:
    """A checkpoint with latent steps, and what its answers are to equal."""

    tiny: TinyCheckpoint
    head: nn.Module
    steps: int = 6
    begin: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    instruction: str = CARD_INSTRUCTION

    @property
    def stops(self) -> set[int]:
        """Tokens that end an answer."""
        return {self.tiny.tokenizer.eos_token_id}

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """Return the ids of added tokens."""
        vocabulary: Mapping[str, int] = self.tiny.tokenizer.get_vocab()
        return [vocabulary[token] for token in tokens]

    def prompt(self, question: str) -> list[int]:
        """Return the ids up to the first latent step: the card's turn, thinking left to the template."""
        turn = [{"role": "user", "content": self.instruction + question}]
        text = self.tiny.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return [*self.tiny.tokenizer.encode(text, add_special_tokens=False), *self.ids(self.begin)]

    @torch.no_grad()
    def write(self, question: str, count: int, steps: int | None = None) -> list[int]:
        """Return the answer's token ids, the ending one left out, by the loop of QThink's card."""
        model, ids = self.tiny.model, torch.tensor([self.prompt(question)])
        out = model(input_ids=ids, output_hidden_states=True, use_cache=True)
        for _ in range(self.steps if steps is None else steps):
            latent = self.head(out.hidden_states[-1][:, -1, :])
            out = model(inputs_embeds=latent[:, None], cache=out.cache, output_hidden_states=True)
        for token in self.ids(self.end):
            out = model(input_ids=torch.tensor([[token]]), cache=out.cache)
        written: list[int] = []
        while len(written) < count:
            token = int(out.logits[0, -1].argmax())
            if token in self.stops:
                break
            written.append(token)
            out = model(input_ids=torch.tensor([[token]]), cache=out.cache)
        return written
