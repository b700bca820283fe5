"""Limits, mixtures and their reports: what is trained on is said, what is not is counted."""

from collections import Counter
from pathlib import Path

import pytest

from rim_edge.data.files import ReadFile
from rim_edge.data.rows import Example, Span
from rim_edge.data.sources import MixtureSource
from rim_edge.errors import CurriculumError, DataError
from rim_edge.methods.rim.method import Rim
from rim_edge.methods.rim.packing import pack, packed_length
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.inputs import DataFile
from rim_edge.recipe.recipe import Limits, Recipe
from rim_edge.recipe.switches import Alignment, Objective
from rim_edge.training.gather import fitting, gather

CURRICULUM = Curriculum((Stage("one", Objective.STEPS, 1, 1.0), Stage("two", Objective.ANSWER, 1, 1.0)))


def rows(name, count, steps=("a",)):
    return tuple(Example(f"{name} {number}", steps, "B") for number in range(count))


def read(name, count, weight=None, skipped=0):
    return ReadFile(DataFile(Path(name), weight), rows(name, count), skipped, "line 3" if skipped else None)


def test_the_limit_is_the_packed_row_of_the_longest_stage(encoder):
    example = Example("Why?", ("one", "two", "three"), "B")
    samples = [encoder.sample(example, stage) for stage in CURRICULUM.stages]
    block = encoder.contract.block
    lengths = [packed_length(sample, len(block)) for sample in samples]
    assert lengths == [int((pack([sample], block, -1).ids >= 0).sum()) for sample in samples]
    most = max(lengths)
    for tokens, dropped in ((most, {}), (most - 1, {f"more than {most - 1} tokens": 1})):
        assert fitting([example], Rim(encoder, 0), CURRICULUM, Limits(tokens), 512).dropped == dropped


def test_nothing_is_cut_and_every_reason_is_counted(encoder):
    good = rows("good", 3)
    examples = [*good, *rows("steps", 2, ("a",) * 5), Example("Why? " * 200, (), "B")]
    found = fitting(examples, Rim(encoder, 0), CURRICULUM, Limits(tokens=200, steps=4), 512)
    assert found.examples == good
    assert found.dropped == {"more than 4 steps": 2, "more than 200 tokens": 1}
    beyond = fitting(examples[:1], Rim(encoder, 0), CURRICULUM, Limits(), 20)
    assert beyond.dropped == {"beyond the model's 20 positions": 1}


def test_what_is_surely_short_is_not_tokenized_and_the_bound_holds(encoder):
    odd = "\u0958\u1d160\u0344 Where? \U0001f600 "  # composed, these are longer than they were
    examples = [Example(odd * n, (odd,) * (n % 4), odd * (n % 3 + 1)) for n in range(1, 12)]
    for example in examples:
        longest = Rim(encoder, 0).longest(example)
        for objective in (Objective.STEPS, Objective.ANSWER, Objective.CHAIN, Objective.FADING, Objective.DIRECT):
            sample = encoder.sample(example, Stage("s", objective, 1, 1.0, alignment=Alignment.SAME_STEP))
            assert packed_length(sample, len(encoder.contract.block)) <= longest


def test_text_that_is_only_read_counts_where_it_is_told(encoder):
    given = Example("Why?", ("one",), "B", (Span("word " * 200, False), Span("one", True)))
    method, limits = Rim(encoder, 0), Limits(tokens=100)
    text = Stage("text", Objective.TEXT, 1, 1.0)
    assert method.length(method.sample(given, text)) <= method.longest(given)
    assert fitting([given], method, Curriculum((text,)), limits, 4_096).dropped == {"more than 100 tokens": 1}
    steps = Stage("steps", Objective.STEPS, 1, 1.0)
    assert fitting([given], method, Curriculum((steps,)), limits, 4_096).examples == (given,)


def test_limits_are_checked():
    with pytest.raises(CurriculumError, match=r"limits\.tokens is 0"):
        Limits(tokens=0)
    with pytest.raises(CurriculumError, match=r"limits\.steps is -1"):
        Limits(steps=-1)


def test_files_are_reported_and_without_weights_every_row_counts_alike(encoder):
    recipe = Recipe("test", CURRICULUM)
    found = gather([read("a", 2), read("b", 4, skipped=3)], Rim(encoder, 0), recipe, 512, seed=0)
    assert [(file.name, file.used, file.skipped, file.first_bad) for file in found.reports] == [
        ("a", 2, 0, None),
        ("b", 4, 3, "line 3"),
    ]
    drawn = Counter(example.question for example in found.source.draw(12, Objective.STEPS))
    assert set(drawn.values()) == {2}


def test_a_mixture_draws_by_weight_and_each_file_in_turn(encoder):
    recipe = Recipe("test", CURRICULUM)
    found = gather([read("a", 2, 3.0), read("b", 500, 1.0)], Rim(encoder, 0), recipe, 512, seed=0)
    assert isinstance(found.source, MixtureSource)
    drawn = [example.question for example in found.source.draw(2_000, Objective.STEPS)]
    share = sum(question.startswith("a") for question in drawn) / len(drawn)
    assert 0.72 < share < 0.78
    first, second = drawn.count("a 0"), drawn.count("a 1")
    assert abs(first - second) <= 1, "every row once before any comes again"
    again = gather([read("a", 2, 3.0), read("b", 500, 1.0)], Rim(encoder, 0), recipe, 512, seed=0)
    assert [example.question for example in again.source.draw(2_000, Objective.STEPS)] == drawn


def test_all_files_have_a_weight_or_none(encoder):
    with pytest.raises(DataError, match="1 of 2 data files have a weight, expected all or none"):
        gather([read("a", 2, 1.0), read("b", 2)], Rim(encoder, 0), Recipe("test", CURRICULUM), 512, seed=0)


def test_a_file_of_which_nothing_is_left_is_refused(encoder):
    recipe = Recipe("test", CURRICULUM, limits=Limits(tokens=5))
    with pytest.raises(DataError, match="No row of a fits the limits: 2 more than 5 tokens"):
        gather([read("a", 2)], Rim(encoder, 0), recipe, 512, seed=0)
