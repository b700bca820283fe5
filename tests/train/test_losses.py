"""Hand-computed loss weights."""

import pytest

from rim_edge.train.curriculum import Alignment, Anneal, LastStep, Objective, Stage
from rim_edge.train.encode import Readout, Sample
from rim_edge.train.losses import anneal_weight, readout_weights, rising_weight


def sample(count):
    return Sample((1,), count, tuple(Readout(t, (2,), (True,), t) for t in range(1, count + 1)))


def weights(stage, step, *counts):
    return readout_weights([sample(count) for count in counts], stage, step).tolist()


def steps_stage(**options):
    return Stage("stage 1", Objective.STEPS, 100, 1e-3, **options)


def test_relative_anneal_by_hand():
    assert [anneal_weight(20, 100, t, 4) for t in (1, 2, 3, 4)] == pytest.approx(
        [0.2, 0.6, 1 - 0.2 * 4 / 3, 0.8], abs=1e-6
    )
    zeros = [next(s for s in range(101) if anneal_weight(s, 100, t, 4) == 0) for t in (1, 2, 3, 4)]
    assert zeros == [25, 50, 75, 100]


def test_rising_weights_by_hand():
    alphas = [rising_weight(k, 8) for k in range(1, 9)]
    assert alphas[0] == pytest.approx(0.027778, abs=1e-6)
    assert alphas[-1] == pytest.approx(0.222222, abs=1e-6)
    assert sum(alphas) == pytest.approx(1.0, abs=1e-6)
    assert [rising_weight(k, 4) for k in range(1, 5)] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-6)


def test_every_sample_anneals_by_its_own_steps_and_keeps_its_answer():
    assert weights(steps_stage(), 20, 4, 1, 2) == pytest.approx([0.2, 0.6, 0.733333, 1.0, 1.0, 0.6, 1.0], abs=1e-6)


def test_the_answer_may_decay_too_and_uniform_does_nothing():
    assert weights(steps_stage(last_step=LastStep.DECAY), 20, 4)[-1] == pytest.approx(0.8, abs=1e-6)
    assert weights(steps_stage(anneal=Anneal.UNIFORM), 99, 3) == [1.0, 1.0, 1.0]


def test_stage_two_rises_whatever_the_step():
    stage = Stage("stage 2", Objective.ANSWER, 100, 1e-3)
    assert weights(stage, 77, 4) == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-6)


def test_alignment_does_not_change_weights():
    assert weights(steps_stage(alignment=Alignment.SAME_STEP), 20, 4) == weights(steps_stage(), 20, 4)
