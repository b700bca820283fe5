"""A training run as values: what `rim-edge train` is asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rim_edge.errors import CurriculumError
from rim_edge.evaluation.scores import RunScores
from rim_edge.recipe.arms import Arm, for_arm
from rim_edge.recipe.bounds import SettingError, positive, whole
from rim_edge.recipe.curriculum import Curriculum
from rim_edge.recipe.inputs import BadRows, DataFile, EvalFile, LeakedRows
from rim_edge.recipe.latent import LatentTraining
from rim_edge.recipe.recipe import Recipe
from rim_edge.training.gather import FileReport
from rim_edge.training.state import Best, Plan, StageResult

PICTURE = "accuracy.svg"
"""The run's scores, drawn."""
_LARGEST_SEED = 2**63 - 1
_MOST_THREADS = 1_024


@dataclass(frozen=True)
class Job:
    """What to train, from what, and where to put it."""

    recipe: Recipe
    """Curriculum, blocks, what learns, limits, and the model from scratch if there is one."""
    out: Path
    """The checkpoint folder to write."""
    model: Path | None = None
    """A transformers folder to start from; None starts from scratch."""
    data: tuple[DataFile, ...] = ()
    """Files of rows. Empty: the recipe's; if it has none either, puzzles, for the demo preset."""
    steps: int | None = None
    """Optimizer steps of all stages together; None keeps the recipe's."""
    epochs: float | None = None
    """How often all stages together go through the rows, instead of `steps`; None keeps the recipe's."""
    rollouts: Path | None = None
    """The folder of `rim-edge rollouts`, whose states teach latent steps; None: there is none."""
    latent_steps: int | None = None
    """K of latent steps; None keeps the recipe's."""
    arm: Arm = Arm.RIM
    """RiM, or one of its controls."""
    seed: int = 0
    """Seed of weights, order, puzzles and dropout."""
    threads: int | None = None
    """CPU threads; None leaves torch's choice."""
    device: str | None = None
    """Torch's name of the device to train on; None: the first GPU, else the CPU."""
    bad_rows: BadRows = BadRows.REFUSE
    """What happens to rows that cannot be used."""
    leaked_rows: LeakedRows = LeakedRows.KEEP
    """What happens to training rows whose question is in the file that is scored."""
    eval: EvalFile | None = None
    """Rows to score after each stage. None: the recipe's; if it has none either, puzzles, if they are trained."""
    tensorboard: Path | None = None
    """Where TensorBoard's events go, in a folder with the output's name; None writes none."""
    resume: bool = False
    """Whether to go on from the last saved state, where there is one."""

    def __post_init__(self) -> None:
        whole("", "seed", self.seed, 0, _LARGEST_SEED)
        if self.threads is not None:
            whole("", "threads", self.threads, 1, _MOST_THREADS)
        if self.steps is not None:
            whole("", "steps", self.steps, 1)
        if self.epochs is not None:
            positive("", "epochs", self.epochs)
            if self.steps is not None:
                raise SettingError("", "epochs", str(self.epochs), "either steps or epochs")

        if self.latent_steps is not None:
            whole("", "latent_steps", self.latent_steps, 0)
            if not self.recipe.curriculum.is_latent:
                raise SettingError("", "latent_steps", str(self.latent_steps), "a recipe that trains latent steps")

    @property
    def latent(self) -> LatentTraining:
        """What is trained of latent steps, where the stages train them."""
        told = self.recipe.latent
        return told if self.latent_steps is None else replace(told, steps=self.latent_steps)

    def curriculum(self, rows: int) -> Curriculum:
        """Return the recipe's curriculum in steps, as the arm trains it on so many rows; 0 rows: on puzzles."""
        told = self.recipe.curriculum
        if not rows and (told.needs_rows or self.epochs is not None):
            raise CurriculumError(
                "Puzzles are endless and have no epochs. Pass --steps, or files of rows (--data)."
            )
        known = told.in_steps(rows)
        steps = self.steps if self.epochs is None else max(len(known.stages), known.steps_of(self.epochs, rows))
        return for_arm(known if steps is None else known.scaled(steps), self.arm)

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files of rows."""
        return self.data or self.recipe.data

    @property
    def eval_file(self) -> EvalFile | None:
        """The file of rows to score."""
        return self.eval or self.recipe.eval


@dataclass(frozen=True)
class Outcome:
    """The result of a finished run."""

    checkpoint: Path
    """The folder."""
    stages: tuple[StageResult, ...]
    """How each stage ended."""
    data: tuple[FileReport, ...]
    """What was read of each file, and what was left out."""
    resumed_at: int
    """Optimizer steps that an earlier process had done; 0 for an uninterrupted run."""
    scores: RunScores | None
    """Scores after the stages, with the weights as they were trained; None if the run was not scored."""
    plans: tuple[Plan, ...]
    """Rates and lengths of the stages, one entry whenever they were changed."""
    best: Best | None = None
    """The score by which the weights were chosen; None where they are the last ones anyway."""
    no_picture: str | None = None
    """Why the scores are not drawn; None where they are."""
    notes: tuple[str, ...] = ()
    """What could not be written beside the weights, and why."""

    @property
    def accuracy_by_blocks(self) -> tuple[float, ...] | None:
        """After the last stage that is scored, with 0, 1, … blocks."""
        if self.scores is None:
            return None
        return tuple(score.accuracy for score in self.scores.stages[-1].by_blocks)

    @property
    def picture(self) -> Path | None:
        """The scores, drawn."""
        return self.checkpoint / PICTURE if self.no_picture is None else None
