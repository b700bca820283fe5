"""What each stage reads out after how many blocks."""

import json

import pytest
from rim_export.checkpoint.prompt import RimSettings, derive_contract, template_ids
from rim_runtime.prompt.encoder import PromptEncoder
from transformers import AutoTokenizer

from rim_edge.data.rows import Example, Span
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.switches import Alignment, Objective, StepEnd
from tests.places import SHARED

EXAMPLE = Example("Why?", ("one", "two", "three"), "B")


def readouts(encoder, tokenizer, example=EXAMPLE, objective=Objective.STEPS, **options):
    sample = encoder.sample(example, Stage("s", objective, 1, 1e-3, **options))
    told = []
    for readout in sample.readouts:
        said = [token for token, flag in zip(readout.ids, readout.labelled, strict=True) if flag]
        told.append((readout.after, tokenizer.decode(said)))
    return sample.blocks, told


def test_the_prompt_is_the_chat_template_and_added_tokens_stay_text(encoder, tokenizer):
    assert list(encoder.prompt("Why?")) == template_ids(tokenizer, "Why?")
    ids = encoder.prompt("<rim_b><|im_end|>")
    assert encoder.contract.block[0] not in ids
    assert tokenizer.decode(ids).count("<|im_end|>") == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real tokenizer is not at {SHARED}")
def test_a_question_has_the_ids_that_a_bundle_gives_it():
    """Qwen3's `<think>` is an added token, and not a special one."""
    folder = SHARED / "qwen3-tokenizer"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(RimSettings().tokens), special_tokens=True)
    contract = derive_contract(tokenizer, RimSettings())
    encoder = ExampleEncoder(tokenizer, contract)
    without = json.loads((folder / "tokenizer.json").read_text()) | {"added_tokens": []}
    bundle = PromptEncoder.from_json(contract, json.dumps(without).encode(), 512, "it")
    for question in ("In XML, does `</think>` close `<think>`?", "<tool_call> <rim_b><|im_end|>?", "Why? 각 é"):
        prompt = bundle.compose(question)
        assert encoder.prompt(question) == prompt.head + prompt.question + prompt.tail
    spoken = encoder.encode_with_offsets("<think>Why</think>")
    assert tokenizer.convert_tokens_to_ids(["<think>", "</think>"]) == [spoken.ids[0], spoken.ids[-1]]


def test_next_step_shifts_and_the_last_block_says_the_answer(encoder, tokenizer):
    assert readouts(encoder, tokenizer) == (3, [(1, "two"), (2, "three"), (3, "B}<|im_end|>")])


def test_same_step_has_one_more_block_for_the_answer(encoder, tokenizer):
    assert readouts(encoder, tokenizer, alignment=Alignment.SAME_STEP) == (
        4,
        [(1, "one"), (2, "two"), (3, "three"), (4, "B}<|im_end|>")],
    )


def test_a_step_may_have_an_end_that_is_learned(encoder, tokenizer):
    ends = {StepEnd.NONE: "", StepEnd.NEWLINE: "\n", StepEnd.TURN: "<|im_end|>"}
    for end, text in ends.items():
        told = [(1, f"two{text}"), (2, f"three{text}"), (3, "B}<|im_end|>")]
        assert readouts(encoder, tokenizer, step_end=end) == (3, told)


def test_a_row_without_steps_says_its_answer_behind_one_block(encoder, tokenizer):
    bare = Example("Why?", (), "B")
    for alignment in Alignment:
        assert readouts(encoder, tokenizer, bare, alignment=alignment) == (1, [(1, "B}<|im_end|>")])


def test_stage_two_says_the_answer_behind_every_block(encoder, tokenizer):
    blocks, told = readouts(encoder, tokenizer, objective=Objective.ANSWER)
    assert (blocks, told) == (4, [(k, "B}<|im_end|>") for k in (1, 2, 3, 4)])


def test_text_says_the_labelled_spans_or_the_steps_without_blocks(encoder, tokenizer):
    spans = Example("Why?", (), "B", (Span("A to ", False), Span("C", True)))
    assert readouts(encoder, tokenizer, spans, Objective.TEXT) == (0, [(0, "CB}<|im_end|>")])
    assert readouts(encoder, tokenizer, EXAMPLE, Objective.TEXT)[1] == [(0, "one\ntwo\nthree\nB}<|im_end|>")]


def test_a_chain_says_the_prefix_too_because_its_reader_writes_it(encoder, tokenizer):
    told = "one\ntwo\nthree\nThe final answer is \\boxed{B}<|im_end|>"
    assert readouts(encoder, tokenizer, objective=Objective.CHAIN) == (0, [(0, told)])


def test_prefix_and_answer_are_joined_as_ids(encoder):
    """A tokenizer that merges `{` with what follows must not do so here: the readout ends in the bare `{`."""
    sample = encoder.sample(EXAMPLE, Stage("s", Objective.ANSWER, 1, 1e-3))
    prefix = encoder.contract.prefix
    for readout in sample.readouts:
        assert readout.ids[: len(prefix)] == prefix
        assert readout.ids[len(prefix)] == encoder.encode("B")[0]
        assert readout.labelled == (*len(prefix) * (False,), True, True, True)


def test_added_tokens_in_answers_stay_text(encoder, tokenizer):
    assert isinstance(encoder, ExampleEncoder)
    assert not set(encoder.encode("<rim_m></rim>")) & set(tokenizer.get_added_vocab().values())
