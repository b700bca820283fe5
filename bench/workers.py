"""The things that are timed, each alone in a process that answers one question whenever it is told to.

A worker prints one JSON line when it is ready and one for each command on its standard input: seconds and the
answer. Alive side by side they are asked in turns, so that a noisy machine is noisy for all of them alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ask = Callable[[str], object]

PREFIX = "The final answer is \\boxed{"
BLOCKS, MEMORY_TOKENS = 8, 2


def transformers_worker(checkpoint: Path) -> dict[str, Ask]:
    """Return the model card's snippet (bf16, sdpa, up to eight new tokens) and its forward pass alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).eval()
    begin, memory, end = (tokenizer.convert_tokens_to_ids(t) for t in ("<rim_b>", "<rim_m>", "<rim_eb>"))
    block = [begin, *MEMORY_TOKENS * [memory], end]

    def prompt(question: str) -> Any:
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            tokenize=True,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        ids = list(chat["input_ids"]) + block * BLOCKS + tokenizer.encode(PREFIX, add_special_tokens=False)
        return torch.tensor([ids])

    @torch.no_grad()
    def snippet(question: str) -> int:
        ids = prompt(question)
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
        )
        tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        return int(out.shape[1] - ids.shape[1])  # new tokens

    @torch.no_grad()
    def forward(question: str) -> int:
        ids = prompt(question)
        model(ids, use_cache=False, logits_to_keep=1)
        return int(ids.shape[1])  # prompt tokens

    return {"snippet": snippet, "forward": forward}


def bundle_worker(bundle: Path) -> dict[str, Ask]:
    """Return `Engine.ask` on one of our bundles."""
    from rim_runtime import Engine

    engine = Engine.load(bundle, engine="ort-cpu")
    return {"ask": lambda question: engine.ask(question).letter}


def main() -> None:
    """Serve one worker: `workers.py transformers|bundle PATH`."""
    kind, path = sys.argv[1], Path(sys.argv[2])
    started = time.perf_counter()
    asks = {"transformers": transformers_worker, "bundle": bundle_worker}[kind](path)
    _say({"load_s": time.perf_counter() - started})
    for line in sys.stdin:
        command = json.loads(line)
        started = time.perf_counter()
        result = asks[command["ask"]](command["question"])
        _say({"seconds": time.perf_counter() - started, "result": result})


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
