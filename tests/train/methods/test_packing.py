"""The decisive test: a packed masked pass gives what the unpacked causal runs give."""

import random
from dataclasses import replace

import pytest
import torch

from rim_edge.data.rows import Example
from rim_edge.methods.rim.encode import Readout, Sample
from rim_edge.methods.rim.losses import labelled_logits, sum_by_readout
from rim_edge.methods.rim.packing import pack
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.switches import Alignment, Objective, Visibility

TOLERANCE = 1e-4


def tokens(rng, least, most):
    return tuple(rng.randrange(5, 64) for _ in range(rng.randint(least, most)))


def random_sample(rng, blocks):
    readouts = []
    for step in range(1, rng.randint(1, 5) + 1):
        ids = tokens(rng, 1, 6)
        flags = tuple(rng.random() < 0.7 for _ in ids)
        readouts.append(Readout(rng.randint(0, blocks), ids, flags, step))
    return Sample(tokens(rng, 1, 24), blocks, tuple(readouts))


def unpacked(model, samples, block):
    """Return the labelled logits of plain causal runs, one run a readout, positions 0, 1, 2, …"""
    rows = []
    for sample in samples:
        for readout in sample.readouts:
            front = sample.prompt + readout.after * block
            sees_all = sample.visibility is Visibility.QUESTION or not readout.after
            mask = None if sees_all else hiding(sample, front, readout)
            with torch.no_grad():
                logits = model(torch.tensor([front + readout.ids]), attention_mask=mask).logits[0]
            rows += [logits[len(front) + i - 1] for i, flag in enumerate(readout.labelled) if flag]
    return torch.stack(rows)


def hiding(sample, front, readout):
    """Return the causal mask [1, 1, length, length] in which the readout does not see the question."""
    length = len(front) + len(readout.ids)
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    mask[len(front) :, : len(sample.prompt)] = False
    return mask[None, None]


def packed(model, samples, block):
    with torch.no_grad():
        return labelled_logits(model, pack(samples, block, 0))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("memory_tokens", [1, 2, 3])
def test_packed_logits_equal_unpacked_runs(tiny_model, seed, memory_tokens):
    rng = random.Random(seed)
    model, block = tiny_model(seed, tied=seed % 2 == 0), (1, *memory_tokens * (2,), 3)
    samples = [random_sample(rng, rng.randint(0, 8)) for _ in range(rng.randint(1, 7))]
    difference = packed(model, samples, block) - unpacked(model, samples, block)
    assert difference.abs().max() <= TOLERANCE


@pytest.mark.parametrize("objective", [one for one in Objective if one is not Objective.LATENT])
@pytest.mark.parametrize("alignment", list(Alignment))
@pytest.mark.parametrize("visibility", list(Visibility))
def test_parity_holds_for_every_stage_and_number_of_steps(tiny_model, encoder, objective, alignment, visibility):
    model = tiny_model(vocabulary=1051)
    stage = Stage("s", objective, 10, 1e-3, alignment=alignment, visibility=visibility)
    examples = [
        Example("How many?" * (count + 1), tuple(f"step {i}" for i in range(count)), "word")
        for count in (0, 1, 5, 13)
    ]
    samples = [encoder.sample(example, stage, 4) for example in examples]
    block = encoder.contract.block
    difference = packed(model, samples, block) - unpacked(model, samples, block)
    assert difference.abs().max() <= TOLERANCE


def test_the_text_of_a_readout_changes_no_other_readout_and_no_block(tiny_model, rng):
    model, block = tiny_model(), (1, 2, 2, 3)
    readouts = tuple(Readout(k, tokens(rng, 3, 3), (True,) * 3, k) for k in (1, 2, 3))
    sample = Sample(tokens(rng, 9, 9), 3, readouts)
    changed = replace(sample, readouts=(readouts[0], replace(readouts[1], ids=(60, 61, 62)), readouts[2]))
    before, after = (pack([row], block, 0) for row in (sample, changed))
    with torch.no_grad():
        hidden = [
            model.model(input_ids=b.ids, attention_mask=b.mask, position_ids=b.positions).last_hidden_state[0]
            for b in (before, after)
        ]
    trunk = 9 + 3 * 4
    others = [*range(trunk + 2), trunk + 4, trunk + 5]  # two tokens a readout: the last one is not in the row
    assert torch.equal(hidden[0][others], hidden[1][others])
    assert not torch.allclose(hidden[0][trunk + 3], hidden[1][trunk + 3])


def test_a_row_is_the_same_alone_and_in_a_padded_batch(tiny_model, rng):
    model, block = tiny_model(), (1, 2, 3)
    samples = [random_sample(rng, blocks) for blocks in (0, 7, 2)]
    together = packed(model, samples, block)
    alone = torch.cat([packed(model, [sample], block) for sample in samples])
    assert (together - alone).abs().max() <= TOLERANCE


def test_a_readout_that_sees_blocks_alone_ignores_the_question_but_for_its_first_token(tiny_model, rng):
    """The first token is predicted at the last block, which does see the question."""
    model, block = tiny_model(), (1, 2, 3)
    readout = Readout(1, (10, 11, 12), (True,) * 3, 1)
    questions = tokens(rng, 6, 6), tokens(rng, 6, 6)
    hidden = [Sample(question, 1, (readout,), visibility) for visibility in Visibility for question in questions]
    seen_a, seen_b, blocks_a, blocks_b = (pack([sample], block, 0).mask[0, 0, :11, :11] for sample in hidden)
    assert seen_a[9:, :6].all()
    assert not blocks_a[9:, :6].any()
    assert torch.equal(blocks_a[:9], seen_a[:9])
    assert torch.equal(seen_a, seen_b)
    assert torch.equal(blocks_a, blocks_b)
    assert (packed(model, hidden[2:], block) - unpacked(model, hidden[2:], block)).abs().max() <= TOLERANCE


@pytest.mark.parametrize(
    "objective", [Objective.DIRECT, Objective.FADING, Objective.MARKED_STEPS, Objective.CHAIN]
)
def test_a_control_without_blocks_sees_the_question_under_any_visibility(encoder, objective):
    example = Example("Why?", ("one", "two"), "B")
    batches = [
        pack([encoder.sample(example, Stage("s", objective, 10, 1e-3, visibility=one))], encoder.contract.block, 0)
        for one in Visibility
    ]
    question = len(encoder.prompt("Why?"))
    assert all(batch.mask[0, 0, batch.predictors, :question].all() for batch in batches)


def test_layout_by_hand():
    sample = Sample((10, 11, 12), 2, (Readout(1, (20, 21), (True, True), 1), Readout(2, (30,), (True,), 2)))
    batch = pack([sample, Sample((9,), 0, (Readout(0, (5,), (True,), 1),))], (1, 2), 0)
    assert batch.ids.shape == (2, 16), "the longest row has eight tokens"
    assert batch.ids[0].tolist() == [10, 11, 12, 1, 2, 1, 2, 20, *[0] * 8], "last tokens predict nothing"
    assert batch.positions[0, :8].tolist() == [0, 1, 2, 3, 4, 5, 6, 5]
    assert batch.predictors.tolist() == [4, 7, 6, 16]
    assert batch.targets.tolist() == [20, 21, 30, 5]
    assert batch.readout.tolist() == [0, 0, 1, 2]
    assert batch.mask[0, 0, 7].tolist() == [True] * 5 + [False, False, True, *[False] * 8]
    assert batch.mask[1, 0, 5].nonzero().flatten().tolist() == [5], "padding sees itself only"


def test_nll_of_a_readout_is_the_sum_over_its_tokens():
    sample = Sample((1,), 0, (Readout(0, (2, 3), (True, True), 1), Readout(0, (1,), (True,), 2)))
    batch = pack([sample], (0,), 0)
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]]))
    nll = sum_by_readout(torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none"), batch)
    assert nll.tolist() == pytest.approx([-(torch.tensor(0.3 * 0.25)).log().item(), 2.302585], abs=1e-6)
