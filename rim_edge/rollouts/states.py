"""The states that latent steps learn from: K of each rollout, evenly spaced inside what was thought.

What was thought is the text between `<think>` and `</think>` where a model writes those, else the text before its
last `####`, else all of it. Of n tokens the k-th state stands at token ⌈k·n/K⌉, so the last one at the last token;
it is the state after the model's last norm, as a latent step's is. The cards do not say more than "evenly spaced".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from rim_edge.evaluation.extraction import RESULT
from rim_edge.evaluation.readers.checkpoint_reader import OpenModel
from rim_edge.methods.qthink.samples import latent_prompt
from rim_edge.methods.qthink.teachers import ALL, COUNT, RIGHT, RIGHT_COUNT
from rim_edge.rollouts.plan import RolloutPlan
from rim_edge.rollouts.texts import Rollout

_TOGETHER = 16
"""Rollouts in one pass."""
_OPEN, _CLOSE = "<think>", "</think>"


def thought(text: str) -> tuple[int, int]:
    """Return where in a rollout's text its thinking part begins and ends."""
    if _OPEN in text and _CLOSE in text:
        return text.index(_OPEN) + len(_OPEN), text.index(_CLOSE)
    return 0, text.rindex(RESULT) if RESULT in text else len(text)


def places(count: int, steps: int) -> list[int]:
    """Return the `steps` evenly spaced places in a row of `count` tokens, from 0; there must be one."""
    return [-(-step * count // steps) - 1 for step in range(1, steps + 1)]


def teacher_states(
    plan: RolloutPlan, opened: OpenModel, rollouts: Sequence[Rollout], told: Callable[[int], None]
) -> Mapping[str, Tensor]:
    """Return the tensors of `teachers.safetensors`; `told` hears how many more rollouts were read."""
    numbers = {key: number for number, key in enumerate(plan.questions)}
    examples, steps = plan.unique, plan.latent.steps
    width = int(opened.model.get_input_embeddings().weight.shape[1])
    sums = {name: torch.zeros(len(numbers), steps, width) for name in (RIGHT, ALL)}
    counts = {name: torch.zeros(len(numbers), dtype=torch.int64) for name in (RIGHT, ALL)}
    ordered = sorted(rollouts, key=lambda one: one.tokens)
    for at in range(0, len(ordered), _TOGETHER):
        part = ordered[at : at + _TOGETHER]
        prompts = [
            latent_prompt(opened.encoder, examples[one.question_sha256].question, plan.latent.instruction)
            for one in part
        ]
        for one, states in zip(part, _states(opened, prompts, part, steps), strict=True):
            if states is None:
                continue
            for name in (RIGHT, ALL) if one.right else (ALL,):
                sums[name][numbers[one.question_sha256]] += states
                counts[name][numbers[one.question_sha256]] += 1
        told(len(part))
    means = {name: sums[name] / counts[name].clamp(min=1)[:, None, None] for name in sums}
    return {**means, COUNT: counts[ALL], RIGHT_COUNT: counts[RIGHT]}


@torch.no_grad()
def _states(
    opened: OpenModel, prompts: Sequence[tuple[int, ...]], part: Sequence[Rollout], steps: int
) -> list[Tensor | None]:
    """Return float32 [steps, hidden] of each rollout; None where nothing was thought."""
    texts = [_encoded(opened, one.text) for one in part]
    rows = [[*prompt, *ids] for prompt, (ids, _) in zip(prompts, texts, strict=True)]
    width, device = max(map(len, rows)), opened.model.device
    ids = torch.tensor([[*row, *(width - len(row)) * [0]] for row in rows], device=device)
    hidden = opened.model.base_model(input_ids=ids, use_cache=False).last_hidden_state  # (rows, width, hidden)
    found: list[Tensor | None] = []
    for row, (prompt, (_, inside)) in enumerate(zip(prompts, texts, strict=True)):
        chosen = [len(prompt) + inside[place] for place in places(len(inside), steps)] if inside else []
        found.append(hidden[row, chosen].float().cpu() if chosen else None)
    return found


def _encoded(opened: OpenModel, text: str) -> tuple[list[int], list[int]]:
    """Return a text's ids, and which of them are in its thinking part."""
    encoded = opened.encoder.encode_with_offsets(text)
    begin, end = thought(text)
    inside = [at for at, (left, right) in enumerate(encoded.offsets) if left >= begin and right <= end]
    return list(encoded.ids), inside
