"""A row of megabytes is left out by its length: encoding it would take minutes."""

from rim_edge.data.rows import Example
from rim_edge.evaluation.held_out import fits_positions
from rim_edge.evaluation.items import items_of
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.methods.rim.method import Rim
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.recipe import Limits
from rim_edge.recipe.switches import Objective
from rim_edge.training.gather import fitting

CURRICULUM = Curriculum((Stage("one", Objective.STEPS, 1, 1.0), Stage("two", Objective.ANSWER, 1, 1.0)))
HUGE = "why " * 5_000_000
EXAMPLES = [
    Example(HUGE, (), "4"),
    Example("Why?", (HUGE,), "4"),
    Example("Why?", (), HUGE),
    Example("Why?", (), "4"),
]


class Watched(ExampleEncoder):
    """An encoder that refuses to encode what is huge."""

    def _encode(self, text):
        assert len(text) < 1_000, "it encodes a huge text"
        return super()._encode(text)


def test_huge_rows_are_counted_as_too_long_without_being_encoded(tokenizer, encoder):
    watched = Watched(tokenizer, encoder.contract)
    found = fitting(EXAMPLES, Rim(watched, 0), CURRICULUM, Limits(tokens=200), 512)
    assert found.examples == (EXAMPLES[-1],)
    assert found.dropped == {"more than 200 tokens": 3}
    huge, *_, small = items_of(EXAMPLES)
    assert [fits_positions(item, watched, 512) for item in (huge, small)] == [False, True]


def test_the_bound_is_never_above_the_number_of_tokens(encoder):
    for text in ("", "a", "The room is large. " * 9, "é" * 50, "각" * 20, "room" * 99):
        assert encoder.least_tokens(text) <= len(encoder.encode(text))
