"""The arms: what each trains, and that all see the same examples."""

from dataclasses import replace

import pytest

from rim_edge.data.rows import Example
from rim_edge.data.sources import RowSource
from rim_edge.methods.rim.encode import removed_steps
from rim_edge.methods.rim.method import Rim
from rim_edge.recipe.arms import Arm, for_arm
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.presets import DEMO
from rim_edge.recipe.switches import BlockWeights, Fading, Objective
from rim_edge.training.loop import train
from rim_edge.training.step import TrainingSetup

EXAMPLE = Example("Why?", ("one", "two", "three"), "B")
CURRICULUM = Curriculum(
    (
        Stage("text", Objective.TEXT, 1, 1e-3),
        Stage("stage 1", Objective.STEPS, 4, 1e-3),
        Stage("stage 2", Objective.ANSWER, 2, 1e-4, dropout=0.1, block_weights=BlockWeights.FLAT),
    ),
    batch_size=3,
)

O = Objective  # noqa: E741
EXPECTED = {
    Arm.RIM: (O.TEXT, O.STEPS, O.ANSWER),
    Arm.NO_BLOCKS: (O.TEXT, O.DIRECT, O.DIRECT),
    Arm.NO_CURRICULUM: (O.TEXT, O.ANSWER, O.ANSWER),
    Arm.CURRICULUM_WITHOUT_BLOCKS: (O.TEXT, O.FADING, O.DIRECT),
    Arm.FADING_WITH_BLOCKS: (O.TEXT, O.FADING_BLOCKS, O.ANSWER),
    Arm.READOUTS_WITHOUT_BLOCKS: (O.TEXT, O.MARKED_STEPS, O.DIRECT),
    Arm.COT: (O.TEXT, O.CHAIN, O.CHAIN),
}


@pytest.mark.parametrize("arm", list(Arm))
def test_an_arm_changes_what_is_trained_and_nothing_else(arm):
    changed = for_arm(CURRICULUM, arm)
    assert tuple(stage.objective for stage in changed.stages) == EXPECTED[arm]
    for before, after in zip(CURRICULUM.stages, changed.stages, strict=True):
        assert (after.name, after.steps, after.learning_rate, after.dropout, after.schedule) == (
            before.name,
            before.steps,
            before.learning_rate,
            before.dropout,
            before.schedule,
        )
    assert changed.batch_size == CURRICULUM.batch_size


def test_without_curriculum_the_blocks_weigh_as_in_stage_two_from_the_start():
    assert for_arm(CURRICULUM, Arm.NO_CURRICULUM).stages[1].block_weights is BlockWeights.FLAT
    assert for_arm(DEMO.curriculum, Arm.NO_CURRICULUM).stages[1].block_weights is BlockWeights.RISING


def told(encoder, tokenizer, arm, stage, progress=0.0):
    percents = replace(for_arm(CURRICULUM, arm).stages[stage], steps=100)
    sample = encoder.sample(EXAMPLE, percents, round(100 * progress))
    texts = []
    for readout in sample.readouts:
        said = [token for token, flag in zip(readout.ids, readout.labelled, strict=True) if flag]
        texts.append((readout.after, tokenizer.decode(said)))
    return texts


def test_what_each_arm_says(encoder, tokenizer):
    answer = "B}<|im_end|>"
    chain = f"one\ntwo\nthree\nThe final answer is \\boxed{{{answer}"
    assert (
        told(encoder, tokenizer, Arm.NO_BLOCKS, 1) == told(encoder, tokenizer, Arm.NO_BLOCKS, 2) == [(0, answer)]
    )
    assert told(encoder, tokenizer, Arm.NO_CURRICULUM, 1) == [(k, answer) for k in (1, 2, 3, 4)]
    assert told(encoder, tokenizer, Arm.COT, 1) == told(encoder, tokenizer, Arm.COT, 2) == [(0, chain)]
    assert told(encoder, tokenizer, Arm.CURRICULUM_WITHOUT_BLOCKS, 2) == [(0, answer)]


def test_the_two_controls_that_cross_curriculum_and_blocks(encoder, tokenizer):
    answer = "B}<|im_end|>"
    assert told(encoder, tokenizer, Arm.FADING_WITH_BLOCKS, 1) == [(4, f"one\ntwo\nthree\n{answer}")]
    assert told(encoder, tokenizer, Arm.FADING_WITH_BLOCKS, 1, 0.5) == [(4, f"three\n{answer}")]
    assert told(encoder, tokenizer, Arm.FADING_WITH_BLOCKS, 2) == [(k, answer) for k in (1, 2, 3, 4)]
    assert told(encoder, tokenizer, Arm.READOUTS_WITHOUT_BLOCKS, 1) == [(0, "two"), (0, "three"), (0, answer)]
    assert told(encoder, tokenizer, Arm.READOUTS_WITHOUT_BLOCKS, 2) == [(0, answer)]
    sample = encoder.sample(EXAMPLE, for_arm(CURRICULUM, Arm.READOUTS_WITHOUT_BLOCKS).stages[1])
    whole = [tokenizer.decode(readout.ids) for readout in sample.readouts]
    assert whole == ["Step 1: two", "Step 2: three", f"The final answer is \\boxed{{{answer}"]
    assert sample.blocks == 0


def test_steps_that_fade_in_halves():
    left = [8 - removed_steps(8, place / 100, Fading.HALVES) for place in (0, 19, 20, 39, 40, 60, 80, 99, 100)]
    assert left == [8, 8, 4, 4, 2, 1, 0, 0, 0]
    assert [removed_steps(0, progress, Fading.HALVES) for progress in (0.0, 1.0)] == [0, 0]
    assert [3 - removed_steps(3, progress, Fading.HALVES) for progress in (0.0, 0.34, 0.67)] == [3, 1, 0]


def test_written_steps_go_from_the_front_in_equal_parts(encoder, tokenizer):
    answer = "B}<|im_end|>"
    left = [f"one\ntwo\nthree\n{answer}", f"two\nthree\n{answer}", f"three\n{answer}", answer]
    for progress, expected in ((0, 0), (0.24, 0), (0.25, 1), (0.49, 1), (0.5, 2), (0.75, 3), (1.0, 3), (1.5, 3)):
        (found,) = told(encoder, tokenizer, Arm.CURRICULUM_WITHOUT_BLOCKS, 1, progress)
        assert found == (0, left[expected])


class Listening(RowSource):
    """Rows that remember what was drawn."""

    def draw(self, count, objective):
        drawn = super().draw(count, objective)
        self.seen = [*getattr(self, "seen", []), *(example.question for example in drawn)]
        return drawn


def test_all_arms_see_the_same_examples_in_the_same_order(tiny_model, encoder):
    rows = [Example(f"Why {number}?", ("A", "B"), "C") for number in range(5)]
    seen = []
    for arm in Arm:
        source = Listening(rows, 3)
        run = TrainingSetup(tiny_model(vocabulary=1051), Rim(encoder, 0), source, for_arm(CURRICULUM, arm))
        train(run)
        seen.append(source.seen)
    assert len(seen[0]) == 7 * 3
    assert all(questions == seen[0] for questions in seen)
