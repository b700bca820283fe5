"""What the command line changes of a recipe."""

import pytest

from rim_edge.errors import CurriculumError
from rim_edge.recipe.changes import Changes
from rim_edge.recipe.presets import DEMO, GSM8K
from rim_edge.recipe.recipe import MicroBatch


def test_nothing_changes_nothing():
    assert Changes().of(GSM8K) is GSM8K


def test_a_rate_is_the_first_stages_and_the_others_keep_their_ratio():
    changed = Changes(learning_rate=2e-4).of(GSM8K)
    assert [stage.learning_rate for stage in changed.curriculum.stages] == pytest.approx([2e-4, 6e-5])
    with pytest.raises(CurriculumError, match="learning_rate is 0"):
        Changes(learning_rate=0.0).of(GSM8K)


def test_batches_and_passes():
    changed = Changes(batch_size=16, micro_batch=MicroBatch.AUTO).of(DEMO)
    assert (changed.curriculum.batch_size, changed.resources.micro_batch) == (16, MicroBatch.AUTO)
    with pytest.raises(CurriculumError, match="micro_batch is 0"):
        Changes(micro_batch=0).of(DEMO)
