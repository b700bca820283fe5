"""The model card's snippet, and its forward pass alone: `ask_transformers.py CHECKPOINT`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from serving import THREADS, Ask, Prompt, serve

PREFIX = "The final answer is \\boxed{"
BLOCKS, MEMORY_TOKENS = 8, 2
NEW_TOKENS = 8


def card_asks(checkpoint: Path) -> dict[str, Ask]:
    """Return the snippet (bf16, sdpa, up to eight new tokens) and its forward pass for one logits row."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).eval()
    begin, memory, end = (tokenizer.convert_tokens_to_ids(t) for t in ("<rim_b>", "<rim_m>", "<rim_eb>"))
    block = [begin, *MEMORY_TOKENS * [memory], end]

    def ids_of(question: str) -> Any:
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            tokenize=True,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        ids = list(chat["input_ids"]) + block * BLOCKS + tokenizer.encode(PREFIX, add_special_tokens=False)
        return torch.tensor([ids])

    @torch.no_grad()
    def snippet(prompt: Prompt) -> str:
        ids = ids_of(prompt["question"])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
        )
        new = out[0, ids.shape[1] :]
        tokenizer.decode(new, skip_special_tokens=True)
        return f"{len(new)} new tokens"

    @torch.no_grad()
    def forward(prompt: Prompt) -> int:
        ids = ids_of(prompt["question"])
        assert ids[0].tolist() == prompt["ids"], "the card's prompt and ours differ"
        return int(model(ids, use_cache=False, logits_to_keep=1).logits[0, -1].argmax())

    return {"snippet": snippet, "forward": forward}


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    serve(card_asks(Path(sys.argv[1])), versions)
