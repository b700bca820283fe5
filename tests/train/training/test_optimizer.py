"""A training step against AdamW written out by hand: rates, moments, decay, clipping, each stage from zero."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy

from rim_edge.errors import DivergedError
from rim_edge.methods.rim.encode import Readout, Sample
from rim_edge.methods.rim.method import Rim
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.switches import Normalisation, Objective, Schedule
from rim_edge.training.loop import train
from rim_edge.training.step import TrainingSetup
from tests.train.hearing import Hearing

VOCABULARY, HIDDEN = 8, 4
RATE = 0.01
BATCHES = [[(1, 2), (2, 4)], [(7, 3), (7, 3)], [(1, 5), (2, 6)]]
"""Three steps: (a token, the token after it). The first token's number scales its gradient, so steps differ."""
TOLERANCE = 2e-6
"""Of a weight, after steps of about 0.01; it allows for fp32 in training and fp64 by hand."""


@dataclass(frozen=True)
class Row:
    """What a curriculum says, and the rates that its three steps ought to have, as shares of RATE."""

    rates: tuple[float, float, float] = (1, 1, 1)
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 0.0
    clip_norm: float = 1e9
    warmup_share: float = 0.0
    schedule: Schedule = Schedule.CONSTANT
    stages: int = 1


TABLE = {
    "plain": Row(),
    "short moments": Row(betas=(0.5, 0.9)),
    "no momentum": Row(betas=(0.0, 0.9)),
    "decay": Row(decay=0.5),
    "warm-up": Row((1 / 3, 2 / 3, 1), warmup_share=0.99),
    "falling": Row((1, 1, 1 / 2), schedule=Schedule.LINEAR),
    "every step clipped": Row(clip_norm=0.01),
    "one step clipped": Row(clip_norm=2.0),
    "two stages": Row(stages=2),
    "all at once": Row((1 / 2, 1, 1), (0.8, 0.95), 0.1, 0.5, warmup_share=0.7, schedule=Schedule.LINEAR, stages=2),
}


class OneLayer(torch.nn.Module):
    """Two matrices and two vectors: logits = head · (gain · embedding) + bias."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(VOCABULARY, HIDDEN)
        self.gain = torch.nn.Parameter(torch.linspace(0.5, 2.0, HIDDEN))
        self.head = torch.nn.Linear(HIDDEN, VOCABULARY)
        self.config = SimpleNamespace(vocab_size=VOCABULARY)
        with torch.no_grad():
            self.embedding.weight.mul_(torch.arange(VOCABULARY)[:, None] / 4)

    def base_model(self, input_ids, **others):
        return SimpleNamespace(last_hidden_state=self.embedding(input_ids) * self.gain)

    def get_output_embeddings(self):
        return self.head


class Pairs:
    """A source and an encoder at once: the batches above, one after the other."""

    contract = SimpleNamespace(block=(0,))

    def __init__(self):
        self.drawn = 0

    def draw(self, count, objective):
        self.drawn += 1
        return BATCHES[(self.drawn - 1) % len(BATCHES)]

    def sample(self, pair, stage, progress):
        before, token = pair
        return Sample((before,), 0, (Readout(0, (token,), (True,), 1),))


def setup(row):
    stages = tuple(
        Stage(
            str(number),
            Objective.DIRECT,
            len(BATCHES),
            RATE,
            row.schedule,
            row.warmup_share,
            row.decay,
            normalisation=Normalisation.ROWS,
        )
        for number in range(row.stages)
    )
    pairs = Pairs()
    curriculum = Curriculum(stages, batch_size=2, clip_norm=row.clip_norm, betas=row.betas)
    return TrainingSetup(OneLayer(), Rim(pairs, 0), pairs, curriculum)


def gradients(weights, batch):
    """Return the gradients of the mean loss of a batch, by name."""
    leaves = {name: weight.requires_grad_() for name, weight in weights.items()}
    before, tokens = torch.tensor(batch).T
    hidden = leaves["embedding.weight"][before] * leaves["gain"]
    logits = hidden @ leaves["head.weight"].T + leaves["head.bias"]
    found = torch.autograd.grad(cross_entropy(logits, tokens), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def norm(gradient):
    return math.sqrt(sum(float((values**2).sum()) for values in gradient.values()))


def adamw(weights, row):
    """Return the weights after one stage; the moments begin at zero."""
    first, second = ({name: torch.zeros_like(weight) for name, weight in weights.items()} for _ in range(2))
    (beta, gamma) = row.betas
    for step, (batch, share) in enumerate(zip(BATCHES, row.rates, strict=True), start=1):
        gradient, rate, after = gradients(weights, batch), share * RATE, {}
        clip = min(1.0, row.clip_norm / norm(gradient))
        for name, weight in weights.items():
            g = clip * gradient[name]
            first[name] = beta * first[name] + (1 - beta) * g
            second[name] = gamma * second[name] + (1 - gamma) * g**2
            mean, square = first[name] / (1 - beta**step), second[name] / (1 - gamma**step)
            decay = row.decay if weight.ndim > 1 else 0.0
            after[name] = (weight * (1 - rate * decay) - rate * mean / (square.sqrt() + 1e-8)).detach()
        weights = after
    return weights


def by_hand(row):
    weights = {name: weight.detach().double() for name, weight in OneLayer().named_parameters()}
    for _ in range(row.stages):
        weights = adamw(weights, row)
    return weights


def flat(weights):
    return torch.cat([weight.detach().flatten().double() for weight in weights.values()])


@pytest.mark.parametrize("name", TABLE)
def test_weights_after_training_are_those_of_adamw_by_hand(name):
    given = setup(TABLE[name])
    train(given)
    expected = by_hand(TABLE[name])
    for part, weight in given.model.named_parameters():
        torch.testing.assert_close(weight.detach().double(), expected[part], atol=TOLERANCE, rtol=0, msg=part)


def test_each_row_of_the_table_ends_elsewhere():
    """Else what the row varies would not show: Adam hides clipping, say, where all gradients shrink alike."""
    ends = torch.stack([flat(by_hand(row)) for row in TABLE.values()])
    apart = (ends[:, None] - ends[None]).abs().amax(dim=-1) + torch.eye(len(ends))
    assert apart.min() > 100 * TOLERANCE


def test_the_clipped_rows_are_clipped_where_they_say():
    weights = {name: weight.detach().double() for name, weight in OneLayer().named_parameters()}
    norms = [norm(gradients(weights, batch)) for batch in BATCHES]
    clipped = {name: sum(value > TABLE[name].clip_norm for value in norms) for name in TABLE}
    assert clipped["every step clipped"] == 3
    assert clipped["one step clipped"] == 1
    assert clipped["plain"] == 0


def test_the_reported_norm_is_that_of_the_gradients_before_they_are_clipped():
    told = []
    train(setup(Row(clip_norm=0.01)), Hearing(step=told.append))
    weights = {name: weight.detach().double() for name, weight in OneLayer().named_parameters()}
    assert told[0].grad_norm == pytest.approx(norm(gradients(weights, BATCHES[0])), rel=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_ends_the_run_before_it_reaches_a_weight(value):
    """The loss is finite: looking at it alone would let the last step write such weights."""
    given = setup(Row())
    before = {name: weight.detach().clone() for name, weight in given.model.named_parameters()}
    given.model.gain.register_hook(lambda gradient: gradient * value)
    with pytest.raises(DivergedError, match=r"The gradients' norm is (nan|inf) at the learning rate 0\.01"):
        train(given)
    assert all(torch.equal(before[name], weight) for name, weight in given.model.named_parameters())
