"""The decoder graph against transformers: tokens, logits, states, latent steps, and a cache cut anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rim_export.certification.decoder_session import DecoderSession
from rim_export.checkpoint.folder import Checkpoint
from rim_export.graph.convert import UnboundGraph
from rim_export.graph.decoder import convert_decoder
from rim_export.recipes.precisions import RECIPES, Measured
from rim_export.recipes.recipe import Recipe, bind
from rim_export.recipes.rotated import rotated
from rim_export.recipes.stream_turn import turn_ends
from rim_export.weights.files import write_graph
from rim_export.weights.model_weights import ModelWeights
from rim_export.weights.rotatable import rotation_of
from rim_runtime.bundle.manifest import Head, Precision
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from transformers import AutoModelForCausalLM

from tests.export.conftest import TinyCheckpoint
from tests.export.families import FAMILIES
from tests.places import DEMO_PACKAGE

TOKENS = 20
EXACT = 1e-4
"""Largest difference of logits in fp32; they have a standard deviation of 1 and more."""


@dataclass(frozen=True)
class Case:
    """A checkpoint, its decoder without weights, and token ids [1, TOKENS]."""

    checkpoint: TinyCheckpoint
    unbound: UnboundGraph
    weights: ModelWeights
    ids: NDArray[np.int64]

    def write(self, recipe: Recipe, folder: Path) -> DecoderSession:
        unbound = replace(self.unbound, model=self.unbound.model.clone())
        bind(recipe, unbound, self.weights, frozenset())
        if recipe.rotation is not None:
            turn_ends(unbound, recipe.rotation)
        write_graph(unbound, folder / "decoder.onnx", folder / "decoder.onnx.data")
        return DecoderSession(folder / "decoder.onnx", recipe.precision)

    def expected(self, **given: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return transformers' logits and last states."""
        with torch.no_grad():
            found = self.checkpoint.model(**given, output_hidden_states=True)
        return found.logits.numpy(), found.hidden_states[-1].numpy()

    @property
    def table(self) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.checkpoint.model.get_input_embeddings().weight.detach().numpy()
        return found


@pytest.fixture(scope="module", params=["gpt2", "llama3", "qwen3", pytest.param("demo", marks=pytest.mark.slow)])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The demo has six trained layers; the others are tiny and random."""
    if request.param == "demo":
        model = AutoModelForCausalLM.from_pretrained(DEMO_PACKAGE / "checkpoint", dtype=torch.float32).eval()
        tiny = TinyCheckpoint(DEMO_PACKAGE / "checkpoint", model, None)
    else:
        tiny = FAMILIES[request.param].build(tmp_path_factory.mktemp("decoder") / request.param)
    checkpoint = Checkpoint.open(tiny.path)
    weights = ModelWeights(checkpoint, {"A": 40, "B": 41}, Head.LETTERS)
    unbound = convert_decoder(checkpoint.load_config(), checkpoint.sizes)
    weights.check(unbound)
    ids = np.random.default_rng(0).integers(0, checkpoint.sizes.vocabulary, (1, TOKENS))
    return Case(tiny, unbound, weights, ids)


@pytest.fixture(scope="module")
def decoder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DecoderSession]:
    (recipe,) = RECIPES[Precision.FP32](Measured())
    yield case.write(recipe, tmp_path_factory.mktemp("fp32"))


def test_all_positions_equal_transformers(case: Case, decoder: DecoderSession) -> None:
    logits, states = case.expected(input_ids=torch.tensor(case.ids))
    assert logits.std() > 0.5, "flat logits would prove nothing"
    every, last = decoder.run(case.ids, keep=0), decoder.run(case.ids)
    np.testing.assert_allclose(every.logits, logits, atol=EXACT, rtol=0)
    np.testing.assert_allclose(every.states, states, atol=EXACT, rtol=0)
    assert last.logits.shape[1] == 1
    np.testing.assert_allclose(last.logits, logits[:, -1:], atol=EXACT, rtol=0)
    np.testing.assert_allclose(decoder.run(case.ids, keep=3).states, states[:, -3:], atol=EXACT, rtol=0)


def test_twelve_greedy_tokens_equal_generate(case: Case, decoder: DecoderSession) -> None:
    ids = torch.tensor(case.ids)
    own = case.checkpoint.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=12,
        min_new_tokens=12,
        do_sample=False,
        eos_token_id=-1,
    )
    tokens, _ = decoder.greedy(case.ids[0], 12)
    assert list(tokens) == own[0, TOKENS:].tolist()


@pytest.mark.parametrize("cut", [1, 7, TOKENS - 1])
def test_a_cache_may_be_cut_anywhere(case: Case, decoder: DecoderSession, cut: int) -> None:
    whole = decoder.run(case.ids)
    first = decoder.run(case.ids[:, :cut])
    rest = decoder.run(case.ids[:, cut:], first.cache)
    np.testing.assert_allclose(rest.logits, whole.logits, atol=EXACT, rtol=0)
    assert rest.cache[0].shape == whole.cache[0].shape
    np.testing.assert_allclose(rest.cache[-1], whole.cache[-1], atol=EXACT, rtol=0)


def test_a_latent_step_takes_a_vector(case: Case, decoder: DecoderSession) -> None:
    states = decoder.run(case.ids, keep=0).states
    steps = np.where(np.arange(TOKENS) % 3 == 2, -1, case.ids[0])[None]
    embeds = np.where((steps < 0)[:, :, None], states, case.table[case.ids])
    logits, _ = case.expected(inputs_embeds=torch.tensor(embeds))
    at_once = decoder.run(steps, vectors=states, keep=0)
    np.testing.assert_allclose(at_once.logits, logits, atol=EXACT, rtol=0)
    one_by_one: tuple[NDArray[np.float32], ...] = ()
    for step in range(TOKENS):
        run = decoder.run(steps[:, step : step + 1], one_by_one, vectors=states[:, step : step + 1])
        one_by_one = run.cache
        np.testing.assert_allclose(run.logits[:, 0], logits[:, step], atol=EXACT, rtol=0)


def test_padding_on_the_left_changes_nothing(case: Case, decoder: DecoderSession) -> None:
    short, pads = TOKENS - 5, np.zeros((1, 5), np.int64)
    both = np.concatenate([case.ids, np.concatenate([pads, case.ids[:, :short]], axis=1)])
    mask, positions = np.ones_like(both), np.arange(TOKENS)[None].repeat(2, 0)
    mask[1, :5], positions[1] = 0, np.concatenate([pads[0], np.arange(short)])
    first = decoder.run(both, mask=mask, positions=positions)
    alone = [decoder.run(case.ids), decoder.run(case.ids[:, :short])]
    step, nexts = np.array([[3], [3]]), np.array([[TOKENS], [short]])
    seen = np.concatenate([mask, np.ones((2, 1), np.int64)], axis=1)
    second = decoder.run(step, first.cache, mask=seen, positions=nexts)
    for row, own in enumerate(alone):
        np.testing.assert_allclose(first.logits[row], own.logits[0], atol=EXACT, rtol=0)
        after = decoder.run(step[:1], own.cache)
        np.testing.assert_allclose(second.logits[row], after.logits[0], atol=EXACT, rtol=0)


def test_a_cache_may_stay_in_one_buffer(case: Case, decoder: DecoderSession) -> None:
    session, capacity, library = decoder._session, TOKENS + 8, import_onnxruntime()
    names = [one.name for one in session.get_inputs() if one.name.startswith("past")]
    heads, size = session.get_inputs()[3].shape[1::2]
    buffers = {
        name: library.OrtValue.ortvalue_from_numpy(np.full((1, heads, capacity, size), 7.5, np.float32))
        for name in names
    }
    for start, end in ((0, TOKENS - 2), (TOKENS - 2, TOKENS - 1), (TOKENS - 1, TOKENS)):
        binding = session.io_binding()
        binding.bind_cpu_input("input_ids", np.ascontiguousarray(case.ids[:, start:end]))
        binding.bind_cpu_input("attention_mask", np.ones((1, end), np.int64))
        binding.bind_cpu_input("position_ids", np.arange(start, end)[None])
        for name, buffer in buffers.items():
            binding.bind_ortvalue_input(name, buffer)
            binding.bind_ortvalue_output(name.replace("past_key_values", "present"), buffer)
        binding.bind_output("logits")
        session.run_with_iobinding(binding)
    expected = decoder.run(case.ids)
    logits = binding.get_outputs()[-1].numpy()
    np.testing.assert_allclose(logits, expected.logits, atol=EXACT, rtol=0)
    last = buffers[names[-1]].numpy()
    np.testing.assert_allclose(last[:, :, :TOKENS], expected.cache[-1], atol=EXACT, rtol=0)
    assert (last[:, :, TOKENS:] == 7.5).all(), "nothing is written beyond what was seen"


def test_rotated_int8_takes_and_gives_the_checkpoints_own_channels(case: Case, tmp_path: Path) -> None:
    (recipe,) = RECIPES[Precision.INT8](Measured())
    recipe = rotated(recipe, rotation_of(case.weights))
    narrow = case.write(recipe, tmp_path)
    _, states = case.expected(input_ids=torch.tensor(case.ids))
    run = narrow.run(case.ids, keep=0)
    assert _error(run.states, states) < 0.1
    steps = np.full((1, TOKENS), -1)
    logits, _ = case.expected(inputs_embeds=torch.tensor(states))
    assert _error(narrow.run(steps, vectors=states, keep=0).logits, logits) < 0.1


def _error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_inputs_are_the_ecosystems_and_two_are_optional(case: Case, decoder: DecoderSession) -> None:
    session = decoder._session
    needed = [one.name for one in session.get_inputs()]
    assert needed[:5] == [
        "input_ids",
        "attention_mask",
        "position_ids",
        "past_key_values.0.key",
        "past_key_values.0.value",
    ]
    assert {one.name for one in session.get_overridable_initializers()} == {"inputs_embeds", "num_logits_to_keep"}
    outputs = [one.name for one in session.get_outputs()]
    assert outputs[:4] == ["logits", "last_hidden_state", "present.0.key", "present.0.value"]
    assert len(outputs) - 2 == len(needed) - 3 == 2 * case.weights.checkpoint.sizes.layers
