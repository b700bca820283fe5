"""Curricula as values: checked when made, scaled in proportion."""

import pytest
import torch

from rim_edge.data.puzzle_source import PuzzleSource
from rim_edge.errors import CurriculumError, DivergedError
from rim_edge.methods.rim.method import Rim
from rim_edge.recipe.curriculum import Curriculum, Extension, Stage
from rim_edge.recipe.presets import GSM8K, GSM8K_AUG, PRESETS, preset
from rim_edge.recipe.switches import LastStep, Normalisation, Objective, Reduction, Schedule
from rim_edge.training.loop import learning_rate, train
from rim_edge.training.step import TrainingSetup
from tests.train.hearing import Hearing


def stage(steps=100, **options):
    return Stage(**{"name": "s", "objective": Objective.ANSWER, "steps": steps, "learning_rate": 1e-3, **options})


def test_a_stage_is_the_papers_unless_it_says_otherwise():
    assert stage().normalisation is Normalisation.ROWS
    assert stage().reduction is Reduction.SUM
    papers = [made for recipe in (GSM8K, GSM8K_AUG) for made in recipe.curriculum.stages]
    assert {made.normalisation for made in papers} == {Normalisation.ROWS}


@pytest.mark.parametrize("total", [3, 4, 7, 100, 2_300, 99_999])
def test_scaled_steps_add_up_and_keep_their_proportion(total):
    curriculum = Curriculum((stage(300), stage(1_500, name="t"), stage(500, name="u")))
    shares = [part.steps for part in curriculum.scaled(total).stages]
    assert sum(shares) == total
    assert min(shares) >= 1
    if total >= 100:
        assert shares == pytest.approx([total * part / 2_300 for part in (300, 1_500, 500)], abs=1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: stage(0), r"^curriculum\.stages\['s'\]\.steps is 0, expected a whole number of at least 1"),
        (lambda: stage(learning_rate=0.0), "learning_rate is 0.0, expected a number above 0"),
        (lambda: stage(learning_rate=float("nan")), "learning_rate is nan, expected a number above 0"),
        (lambda: stage(warmup_share=1.0), "warmup_share is 1.0, expected a number from 0 to below 1"),
        (lambda: stage(weight_decay=-0.1), "weight_decay is -0.1, expected a number of at least 0"),
        (lambda: stage(dropout=1.0), "dropout is 1.0, expected a number from 0 to below 1"),
        (lambda: stage(choice_weight=0.0), "choice_weight is 0.0, expected a number above 0"),
        (
            lambda: stage(last_step=LastStep.DECAY, extension=Extension(0.5, 9)),
            r"last_step is decay beside an extension, expected keep",
        ),
        (lambda: Extension(-1.0, 5), "loss is -1.0"),
        (lambda: Extension(0.5, 0), "at_most is 0"),
        (lambda: Curriculum(()), "stages is empty"),
        (lambda: Curriculum((stage(), stage())), r"called \['s', 's'\], expected a name of its own"),
        (lambda: Curriculum((stage(),), batch_size=0), "batch_size is 0"),
        (lambda: Curriculum((stage(),), clip_norm=0.0), "clip_norm is 0.0"),
        (lambda: Curriculum((stage(),), betas=(0.9, 1.0)), "betas is 1.0"),
        (lambda: Curriculum((stage(), stage(name="t"))).scaled(1), "Got 1 steps for 2 stages"),
        (lambda: stage(1, epochs=2.0), "steps is 1, expected either steps or epochs"),
        (lambda: stage(0, epochs=float("inf")), "epochs is inf, expected a number above 0"),
        (
            lambda: Curriculum((stage(0, epochs=1e18),)).in_steps(64),
            r"steps is 1000000000000000000, expected a whole number of at most",
        ),
        (lambda: stage(name="a\x1b"), "name is .*, expected some text"),
        (lambda: preset("nothing"), "no preset 'nothing', expected one of: demo, openmed"),
    ],
)
def test_what_cannot_be_used_is_refused(make, words):
    with pytest.raises(CurriculumError, match=words):
        make()


@pytest.mark.parametrize(
    ("epochs", "rows", "steps"),
    [(6, 7_473, 350), (2, 7_473, 117), (1, 128, 1), (1, 200, 2), (0.001, 5, 1), (3, 128, 3), (0.1, 1_280, 1)],
)
def test_epochs_are_steps_once_the_rows_are_known(epochs, rows, steps):
    curriculum = Curriculum((stage(0, epochs=epochs), stage(7, name="t")), batch_size=128)
    assert curriculum.needs_rows
    known = curriculum.in_steps(rows)
    assert [part.steps for part in known.stages] == [steps, 7]
    assert not known.needs_rows
    assert curriculum.steps_of(epochs, rows) == steps


def test_the_rate_rises_over_four_percent_and_then_stays_or_falls_to_zero():
    constant, linear = stage(), stage(schedule=Schedule.LINEAR)
    assert [learning_rate(constant, step) for step in (0, 1, 3, 4, 99)] == pytest.approx(
        [0.25e-3, 0.5e-3, 1e-3, 1e-3, 1e-3]
    )
    assert learning_rate(linear, 4) == pytest.approx(1e-3)
    assert learning_rate(linear, 99) == pytest.approx(1e-3 / 96)


def test_presets_are_known_by_their_names():
    assert all(preset(name).name == name for name in PRESETS)


@pytest.mark.parametrize(
    ("solved_at", "expected"),
    [(1e9, 2), (0.0, 5)],
    ids=["solved", "not solved"],
)
def test_a_stage_goes_on_until_its_task_is_solved(tiny_model, encoder, solved_at, expected):
    part = Stage("s", Objective.TEXT, 2, 1e-3, extension=Extension(solved_at, at_most=5))
    curriculum = Curriculum((part,), batch_size=2)
    run = TrainingSetup(tiny_model(vocabulary=1051), Rim(encoder, 0), PuzzleSource(0), curriculum)
    reported = []
    (result,) = train(run, Hearing(step=reported.append)).finished
    assert result.steps == len(reported) == expected
    assert result.loss == pytest.approx(sum(step.loss for step in reported) / expected)
    assert run.curriculum.scaled(3).stages[0].extension is None, "--steps means exactly that many"


def test_a_loss_that_is_no_number_ends_the_run(tiny_model, encoder):
    model = tiny_model(vocabulary=1051)
    torch.nn.init.constant_(model.get_input_embeddings().weight, float("inf"))
    run = TrainingSetup(model, Rim(encoder, 0), PuzzleSource(0), Curriculum((stage(),), batch_size=2))
    with pytest.raises(DivergedError, match="The loss is nan"):
        train(run)
