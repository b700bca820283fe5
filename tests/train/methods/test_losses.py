"""Hand-computed losses: a bigram model whose probabilities are written down, and the weights of every switch."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from rim_edge.methods import token_nll
from rim_edge.methods.rim.encode import Readout, Sample
from rim_edge.methods.rim.losses import anneal_weight, block_weight, readout_nll, readout_weights, weighing
from rim_edge.methods.rim.method import Rim
from rim_edge.methods.rim.packing import pack
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.recipe import Arithmetic, Resources
from rim_edge.recipe.switches import Alignment, Anneal, BlockWeights, LastStep, Normalisation, Objective, Reduction
from rim_edge.training.step import Scorer, TrainingSetup, draw_step, take_step

BEGIN, MEMORY, END = BLOCK = (1, 2, 3)
PROBABILITIES = {
    (END, 4): 0.5,  # the next token's probability, given the token before it and nothing else
    (END, 5): 0.25,
    (END, 6): 0.125,
    (4, 5): 0.2,
    (6, 7): 0.4,
}
STEP_1, STEP_2, ANSWER = (4, 5), (5,), (6, 7)
NLL_1, NLL_2, NLL_ANSWER = -math.log(0.5 * 0.2), -math.log(0.25), -math.log(0.125 * 0.4)
NLL_HALF = -math.log(0.4)


class Bigram(torch.nn.Module):
    """A model whose logits are the written logarithms of probabilities."""

    def __init__(self):
        super().__init__()
        table = torch.full((8, 8), -math.inf)
        for (before, token), probability in PROBABILITIES.items():
            table[token, before] = math.log(probability)
        for before in range(8):  # what is left goes to the padding, so that each row sums to 1
            rest = 1 - sum(p for (start, _), p in PROBABILITIES.items() if start == before)
            table[0, before] = math.log(rest)
        self.head = torch.nn.Linear(8, 8, bias=False)
        self.head.weight = torch.nn.Parameter(table.clamp(min=-1e9))
        self.config = SimpleNamespace(vocab_size=8)

    def base_model(self, input_ids, **others):
        hidden = torch.nn.functional.one_hot(input_ids, 8).float()
        return SimpleNamespace(last_hidden_state=hidden)

    def get_output_embeddings(self):
        return self.head


def said(*texts):
    return tuple(Readout(t, ids, (True,) * len(ids), t) for t, ids in enumerate(texts, start=1))


LONG = Sample((7,), 3, said(STEP_1, STEP_2, ANSWER))
SHORT = Sample((7,), 1, said(ANSWER))
HALF = Sample((7,), 4, (Readout(4, ANSWER, (False, True), 1),))
"""Four blocks and one readout, of which only the second token is scored."""
ANYTIME = Sample((7,), 3, said(ANSWER, ANSWER, ANSWER), choices=True)


class Written:
    """A source and an encoder at once: samples that were written by hand."""

    contract = SimpleNamespace(block=BLOCK)

    def __init__(self, samples):
        self.samples = samples

    def draw(self, count, objective):
        return self.samples

    def sample(self, example, stage, step):
        return example


def loss(samples, stage, step, micro_batch=None):
    return step_taken(samples, stage, step, micro_batch).loss


def step_taken(samples, stage, step, micro_batch=None):
    model, written = Bigram(), Written(samples)
    resources = Resources(micro_batch=micro_batch)
    method = Rim(written, 0)
    run = TrainingSetup(model, method, written, Curriculum((stage,), batch_size=len(samples)), resources)
    batch = draw_step(run, stage, step, run.micro_batch)
    return take_step(run, Scorer(method.scorer(model), Arithmetic.FP32), batch)


def steps_stage(**options):
    return Stage("stage 1", Objective.STEPS, 100, 1e-3, **{"normalisation": Normalisation.ROWS, **options})


def answer_stage(**options):
    return Stage("stage 2", Objective.ANSWER, 100, 1e-3, **{"normalisation": Normalisation.ROWS, **options})


@pytest.mark.parametrize(
    ("anneal", "last", "weights"),
    [
        # step 20 of 100, T = 3: 1 - 20/(100·1/3), 1 - 20/(100·2/3), 1 - 20/100
        (Anneal.LINEAR_RELATIVE, LastStep.KEEP, (0.4, 0.7, 1.0)),
        (Anneal.LINEAR_RELATIVE, LastStep.DECAY, (0.4, 0.7, 0.8)),
        (Anneal.LINEAR, LastStep.KEEP, (0.8, 0.8, 1.0)),
        (Anneal.LINEAR, LastStep.DECAY, (0.8, 0.8, 0.8)),
        (Anneal.UNIFORM, LastStep.KEEP, (1.0, 1.0, 1.0)),
        (Anneal.UNIFORM, LastStep.DECAY, (1.0, 1.0, 1.0)),
    ],
)
def test_stage_one_by_hand(anneal, last, weights):
    stage = steps_stage(anneal=anneal, last_step=last)
    long = weights[0] * NLL_1 + weights[1] * NLL_2 + weights[2] * NLL_ANSWER
    short = weights[2] * NLL_ANSWER
    assert loss([LONG], stage, 20) == pytest.approx(long, abs=1e-6)
    assert loss([LONG, SHORT], stage, 20) == pytest.approx((long + short) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        (BlockWeights.RISING, (1 / 6, 2 / 6, 3 / 6)),
        (BlockWeights.FLAT, (1 / 3, 1 / 3, 1 / 3)),
        (BlockWeights.LAST, (0.0, 0.0, 1.0)),
    ],
)
def test_stage_two_by_hand(kind, weights):
    """Different texts after the blocks, so that every weight shows."""
    stage = answer_stage(block_weights=kind)
    expected = weights[0] * NLL_1 + weights[1] * NLL_2 + weights[2] * NLL_ANSWER
    assert loss([LONG], stage, 77) == pytest.approx(expected, abs=1e-6)
    assert loss([ANYTIME], stage, 77) == pytest.approx(NLL_ANSWER, abs=1e-6), "the weights sum to 1"


def test_multiple_choice_weighs_more_where_the_stage_says_so():
    stage = answer_stage(choice_weight=4.0)
    assert loss([ANYTIME], stage, 0) == pytest.approx(4 * NLL_ANSWER, abs=1e-6)
    assert loss([SHORT, ANYTIME], stage, 0) == pytest.approx((1 + 4) / 2 * NLL_ANSWER, abs=1e-6)


@pytest.mark.parametrize(
    ("normalisation", "expected"),
    [
        (Normalisation.ROWS, (NLL_1 + NLL_2 + 2 * NLL_ANSWER + NLL_HALF) / 3),
        (Normalisation.TOKENS, (NLL_1 + NLL_2 + 2 * NLL_ANSWER + NLL_HALF) / 8),
        (Normalisation.READOUTS, ((NLL_1 + NLL_2 + NLL_ANSWER) / 3 + NLL_ANSWER + NLL_HALF) / 3),
    ],
)
@pytest.mark.parametrize("micro_batch", [None, 1])
def test_normalisation_by_hand_however_the_batch_is_cut(normalisation, expected, micro_batch):
    stage = steps_stage(anneal=Anneal.UNIFORM, normalisation=normalisation)
    assert loss([LONG, SHORT, HALF], stage, 0, micro_batch) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # weights 1/6, 2/6, 3/6 of readouts of 2, 1 and 2 tokens: their mean over 2/6 + 2/6 + 6/6 weighted tokens
        ({"normalisation": Normalisation.TOKENS}, (NLL_1 / 6 + NLL_2 / 3 + NLL_ANSWER / 2) / (5 / 3)),
        ({"reduction": Reduction.MEAN}, NLL_1 / 2 / 6 + NLL_2 / 3 + NLL_ANSWER / 2 / 2),
        (
            {"normalisation": Normalisation.TOKENS, "reduction": Reduction.MEAN},
            NLL_1 / 2 / 6 + NLL_2 / 3 + NLL_ANSWER / 2 / 2,  # the weights sum to 1
        ),
        ({"normalisation": Normalisation.READOUTS}, (NLL_1 / 6 + NLL_2 / 3 + NLL_ANSWER / 2) / 3),
    ],
)
def test_tokens_count_with_their_weight(options, expected):
    assert loss([LONG], answer_stage(**options), 0) == pytest.approx(expected, abs=1e-6)


def test_a_letter_weighs_as_much_as_a_long_answer_where_readouts_are_means():
    stage = answer_stage(reduction=Reduction.MEAN, choice_weight=4.0)
    assert loss([SHORT, ANYTIME], stage, 0) == pytest.approx((1 + 4) / 2 * NLL_ANSWER / 2, abs=1e-6)
    weighted = answer_stage(reduction=Reduction.MEAN, choice_weight=4.0, normalisation=Normalisation.TOKENS)
    assert loss([LONG, ANYTIME], weighted, 0) == pytest.approx(
        (NLL_1 / 12 + NLL_2 / 3 + NLL_ANSWER / 4 + 4 * NLL_ANSWER / 2) / 5, abs=1e-6
    )


def test_the_answers_nll_is_a_mean_over_their_tokens_not_weighted():
    taken = step_taken([LONG, SHORT, HALF], steps_stage(), 99, micro_batch=1)
    assert taken.answer_nll == pytest.approx((2 * NLL_ANSWER + NLL_HALF) / 5, abs=1e-6)


def test_text_and_controls_weigh_their_tokens_alike():
    for objective in (Objective.TEXT, Objective.DIRECT, Objective.FADING, Objective.CHAIN):
        stage = Stage("s", objective, 100, 1e-3, normalisation=Normalisation.ROWS)
        assert loss([SHORT], stage, 99) == pytest.approx(NLL_ANSWER, abs=1e-6)


def test_relative_anneal_by_hand():
    assert [anneal_weight(20, 100, t, 4) for t in (1, 2, 3, 4)] == pytest.approx(
        [0.2, 0.6, 1 - 0.2 * 4 / 3, 0.8], abs=1e-6
    )
    zeros = [next(s for s in range(101) if anneal_weight(s, 100, t, 4) == 0) for t in (1, 2, 3, 4)]
    assert zeros == [25, 50, 75, 100]
    assert [anneal_weight(60, 100, t, 4) for t in (1, 2, 3, 4)] == pytest.approx([0, 0, 0.2, 0.4], abs=1e-6)


def test_readouts_that_weigh_nothing_are_not_computed():
    """Step 50 of 100: the first of three readouts has gone out, 1 - 50/(100·1/3); the others keep their T."""
    left = weighing(LONG, steps_stage(), 50)
    assert (left.readouts, left.count) == (LONG.readouts[1:], 3)
    taken = step_taken([LONG], steps_stage(), 50)
    assert taken.loss == pytest.approx(0.25 * NLL_2 + NLL_ANSWER, abs=1e-6)
    assert taken.nll == pytest.approx((None, NLL_2, NLL_ANSWER), abs=1e-6)
    assert taken.tokens == 1 + 3 * len(BLOCK) + 1, "of ANSWER one token is in the row, of STEP_2 none"
    last = weighing(ANYTIME, answer_stage(block_weights=BlockWeights.LAST), 0)
    assert (last.readouts, last.blocks, last.count) == (ANYTIME.readouts[2:], 3, 3)
    assert weighing(LONG, replace(steps_stage(), steps=0, epochs=2.0), 0) == LONG, "epochs are not steps yet"


def test_rising_weights_by_hand():
    alphas = [block_weight(BlockWeights.RISING, k, 8) for k in range(1, 9)]
    assert alphas[0] == pytest.approx(0.027778, abs=1e-6)
    assert alphas[-1] == pytest.approx(0.222222, abs=1e-6)
    for kind in BlockWeights:
        assert sum(block_weight(kind, k, 8) for k in range(1, 9)) == pytest.approx(1.0, abs=1e-6)


def test_alignment_does_not_change_weights():
    weights = [readout_weights([LONG], steps_stage(alignment=kind), 20).tolist() for kind in Alignment]
    assert weights[0] == weights[1]


def test_many_labels_meet_the_head_in_chunks_and_give_the_same_loss_and_gradients(monkeypatch):
    batch = pack([LONG, SHORT, LONG], BLOCK, 0)
    found, widest = [], []
    for size in (2**25, 16):  # all twelve labels at once; two of them
        monkeypatch.setattr(token_nll, "CHUNK_LOGITS", size)
        model = Bigram()
        widths = []
        model.head.register_forward_hook(lambda *call, widths=widths: widths.append(len(call[2])))
        nll = readout_nll(model, batch)
        nll.sum().backward()
        found.append((nll.detach(), model.head.weight.grad))
        widest.append(max(widths))
    assert widest == [12, 2]
    for whole, cut in zip(*found, strict=True):
        torch.testing.assert_close(whole, cut, atol=1e-6, rtol=0)
