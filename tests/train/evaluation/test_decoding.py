"""Text token by token: every family writes through its cache what it writes without one."""

import pytest
import torch

from rim_edge.evaluation.decoding import LatentSteps, decoded
from tests.export.families import FAMILIES

PROMPTS = [(5, 6, 7, 8, 9), (20, 21), (4, 3, 2)]
TOKENS = 6


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "llama3"])
def test_a_family_writes_the_same_with_its_cache_and_without(tmp_path, name):
    model = FAMILIES[name].build(tmp_path / "family").model
    assert decoded(model, PROMPTS, -1, TOKENS) == [uncached(model, prompt) for prompt in PROMPTS]


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_a_family_takes_latent_steps(tmp_path, name):
    model = FAMILIES[name].build(tmp_path / "family").model
    project = torch.nn.Linear(32, 32, bias=False).requires_grad_(False)
    [[first]] = decoded(model, PROMPTS[:1], -1, 1, latent=LatentSteps(1, project))
    embedded = model.get_input_embeddings()(torch.tensor([PROMPTS[0]]))
    state = model.base_model(inputs_embeds=embedded).last_hidden_state[:, -1:]
    read = model(inputs_embeds=torch.cat([embedded, project(state)], dim=1))
    assert first == read.logits[0, -1].argmax().item()


@torch.no_grad()
def uncached(model, prompt):
    ids = list(prompt)
    for _ in range(TOKENS):
        ids.append(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item())
    return ids[len(prompt) :]
