"""What `rim-edge train` shows while it runs: a live view on a terminal, some plain lines elsewhere.

Nothing is shown before the first event. Of several processes only the first one receives events.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rim_edge.cli.output import note
from rim_edge.cli.show.numbers import clock, percent, tenths
from rim_edge.recipe.switches import Objective
from rim_edge.training.callbacks import Listener, Measured, RunStart, Step
from rim_edge.training.state import RECENT

if TYPE_CHECKING:
    from rim_edge.evaluation.held_out import HeldOut
    from rim_edge.evaluation.scores import StageScores
    from rim_edge.recipe.curriculum import Stage
    from rim_edge.training.gather import FileReport

_REFRESHES_A_SECOND = 4
_PLAIN_LINES = 10
_READOUTS_SHOWN = 16
_LOSS_WIDTH = len("loss 10.000")


class View(Listener):
    """Shows a run in the way of its subclass. Both subclasses note the rows that are left out."""

    def __init__(self) -> None:
        self._progress = RunProgress(())

    def begin(self, start: RunStart) -> None:
        """Say which rows are left out, how often the others are trained on, and what else there is to know."""
        self._progress = RunProgress(start.curriculum.stages)
        for file in start.files:
            _note_skipped(file.name, file.skipped, file.first_bad)
            if file.ignored:
                note(f"{file.name}: ignored keys: {', '.join(file.ignored)}")
            for reason, count in file.dropped.items():
                note(f"{file.name}: {count} of {file.used + sum(file.dropped.values())} rows left out, {reason}")
        if start.files:
            for stage in start.curriculum.stages:
                examples = stage.steps * start.curriculum.batch_size
                note(f"{stage.name}: {stage.steps:,} steps = {_epochs(examples, start.files)}")
        if start.held_out is not None:
            _note_scored(start.held_out)
        for text in start.notes:
            note(text)


@contextmanager
def training_view(console: Console) -> Iterator[View]:
    """Give the live view if stderr is a terminal, else plain lines."""
    if not console.is_terminal:
        yield PlainLines(console)
        return
    with ExitStack() as stack:
        view = LiveView(console, stack)
        yield view
        view.end()


class PlainLines(View):
    """Prints a line at every tenth of the steps, and one after each stage that is scored."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._told = 0

    def step(self, step: Step) -> None:
        """Print a line if another tenth is done."""
        self._progress.add(step)
        tenth = _PLAIN_LINES * step.done // self._progress.total
        if tenth > self._told:
            self._told = tenth
            self._say(_plain(self._progress, step))

    def measured(self, measured: Measured) -> None:
        """Print a score within a stage."""
        share = tenths(measured.right / measured.asked)
        self._say(f"{measured.stage}, step {measured.step:,}: right {share} of {measured.asked:,}")

    def scored(self, scores: StageScores) -> None:
        """Print a stage's accuracies."""
        shares = ", ".join(tenths(score.accuracy) for score in scores.by_blocks)
        asked = scores.by_blocks[-1].n
        self._say(f"{scores.stage}: right with 0, 1, … blocks, of {asked:,} questions: {shares}")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class LiveView(View):
    """A view that is redrawn several times a second with the latest events, from the first one on."""

    def __init__(self, console: Console, stack: ExitStack) -> None:
        super().__init__()
        self._rights: dict[str, str] = {}
        self._doing: Spinner | None = None
        self._has_ended = False
        self._live = Live(self, console=console, refresh_per_second=_REFRESHES_A_SECOND)
        self._stack = stack

    def step(self, step: Step) -> None:
        """Show a step."""
        self._progress.add(step)
        self._doing = None
        self._open()

    def doing(self, text: str) -> None:
        """Show work other than steps."""
        self._doing = Spinner("dots", Text(text), style="cyan")
        self._open()

    def measured(self, measured: Measured) -> None:
        """Show a score within a stage."""
        self._rights[measured.stage] = _right(measured.right / measured.asked, measured.asked)
        self._doing = None

    def scored(self, scores: StageScores) -> None:
        """Show a stage's accuracy with all its blocks."""
        self._rights[scores.stage] = _right(scores.by_blocks[-1].accuracy, scores.by_blocks[-1].n)
        self._doing = None

    def end(self) -> None:
        """Show the result of the run, which is done."""
        self._has_ended, self._doing = True, None

    def __rich__(self) -> RenderableType:
        """Return what is shown now."""
        lines: list[RenderableType] = [] if self._has_ended else _now(self._progress)
        if self._doing is not None:
            lines.append(self._doing)
        return Group(self._table(), *(Padding(line, (0, 0, 0, 2)) for line in lines))

    def _open(self) -> None:
        if not self._live.is_started:
            self._stack.enter_context(self._live)

    def _table(self) -> Table:
        stages, widest = self._progress.stages, _of(self._progress.total, self._progress.total)
        table = Table.grid("", "", padding=(0, 1), expand=True)
        table.add_column(ratio=1)
        for width in (len(widest), _LOSS_WIDTH, 0, 0):  # so that the bars keep their length
            table.add_column(justify="right", no_wrap=True, min_width=width)
        for stage in stages:
            table.add_row(*self._row(stage))
        if len(stages) > 1 and not self._has_ended:
            bar = ProgressBar(self._progress.total, self._progress.done, complete_style="blue")
            table.add_row("", "all", bar, _of(self._progress.done, self._progress.total))
        return table

    def _row(self, progress: StageProgress) -> list[RenderableType]:
        is_done = (not progress.is_current and progress.steps > 0) or self._has_ended
        mark = Text("✓", "green") if is_done else Text("●" if progress.is_current else " ", "cyan")
        return [
            mark,
            Text(progress.stage.name, "bold" if progress.is_current else ""),
            ProgressBar(progress.total, progress.steps),
            _of(progress.steps, progress.total),
            "" if progress.loss is None else f"loss {progress.loss:.3f}",
            self._rights.get(progress.stage.name, ""),
            "" if progress.seconds is None else clock(progress.seconds),
        ]


def _right(accuracy: float, questions: int) -> str:
    return f"right {tenths(accuracy)} of {questions:,}"


def _now(progress: RunProgress) -> list[RenderableType]:
    """Return the lines below the bars: pace, rate and time left, then -log p by readout."""
    step = progress.latest
    if step is None:
        return []
    pace = Text.assemble(
        (f"{step.tokens_per_second:,.0f}", "bold"),
        f" tokens/s ({_padding(step)} padding)   rate {step.learning_rate:.2e}   gradient {step.grad_norm:.2f}   ",
        (clock(progress.seconds_left), "bold"),
        " left",
    )
    stage = progress.stage
    is_latent = stage is not None and stage.objective is Objective.LATENT
    if is_latent:
        return [pace, _tokens(progress)]
    return [pace, _readouts(progress.nll), Text.assemble("-log p an answer token  ", _shade(progress.answer_nll))]


def _tokens(progress: RunProgress) -> RenderableType:
    """Return -log p of a token, and how far the taught latent steps are from their teacher."""
    told = Text.assemble("-log p a token  ", _shade(progress.answer_nll))
    if progress.distances:
        told.append(f"   distance to the teacher  {_numbers(progress.distances)}")
    return told


def _numbers(values: Sequence[float | None]) -> str:
    return " ".join("–" if value is None else f"{value:.2f}" for value in values)


def _readouts(nll: list[float | None]) -> RenderableType:
    """Return -log p by readout, compact: green where p > 0.9, yellow where p > 0.5; of many, only some.

    A readout that has not been computed for a while has a dash.
    """
    if len(nll) == 1:
        return Text.assemble("-log p  ", _shade(nll[0]))
    stride = math.ceil(len(nll) / _READOUTS_SHOWN)
    places = range((len(nll) - 1) % stride, len(nll), stride)
    cells = [Text.assemble((f"{place + 1} ", "dim"), _shade(nll[place])) for place in places]
    row = Table.grid(padding=(0, 2))
    row.add_row("-log p by readout", Columns(cells, padding=(0, 2)))
    return row


def _shade(nll: float | None) -> tuple[str, str]:
    if nll is None:
        return "–", "dim"
    return f"{nll:.2f}", "green" if nll < -math.log(0.9) else "yellow" if nll < -math.log(0.5) else ""


def _plain(progress: RunProgress, step: Step) -> str:
    nll = f"{_numbers(progress.nll)} ({progress.answer_nll:.3f} an answer token)"
    if progress.distances:
        nll += f", distance to the teacher {_numbers(progress.distances)}"
    pace = f"{step.tokens_per_second:,.0f} tokens/s, {clock(progress.seconds_left)} left"
    return (
        f"{step.stage}, step {step.step:,}; {step.done:,} of {progress.total:,} in all: "
        f"loss {step.recent_loss:.3f}, -log p {nll}, {pace}"
    )


def _padding(step: Step) -> str:
    return percent(step.padding / (step.tokens + step.padding))


def _of(done: int, total: int) -> str:
    return f"{done:,}/{total:,}"


def _note_scored(held_out: HeldOut) -> None:
    """Note problems of the rows that the run is scored on."""
    name, count = held_out.name, len(held_out.items)
    _note_skipped(name, held_out.skipped, held_out.first_bad)
    if held_out.too_long:
        rows = count + held_out.too_long
        note(f"{name}: {held_out.too_long} of {rows} rows are not scored, too long for the model's positions")
    if held_out.trained_on:
        note(
            f"{name}: the questions of {held_out.trained_on} of {count} rows are in the training data too; "
            "what is learned by heart makes the scores too good"
        )
    if held_out.reworded:
        note(
            f"{name}: the questions of {held_out.reworded} of {count} rows are in the training data with other "
            "options, or the same ones in another order"
        )


def _epochs(examples: int, files: Sequence[FileReport]) -> str:
    """Return how often so many examples go through the rows: of all files together, or of each by its weight."""
    rows = sum(file.used for file in files)
    if all(math.isclose(file.share, file.used / rows) for file in files):
        return f"{_times(examples / rows)} epochs of {rows:,} rows"
    each = [(examples * file.share / file.used, file) for file in files]
    return ", ".join(f"{_times(epochs)} epochs of {file.name} ({file.used:,} rows)" for epochs, file in each)


def _times(epochs: float) -> str:
    return f"{epochs:,.1f}" if epochs >= 1 else f"{epochs:.2g}"


def _note_skipped(name: str, skipped: int, first_bad: str | None) -> None:
    if skipped:
        note(f"{name}: {skipped} bad rows skipped, the first: {first_bad}")


@dataclass(frozen=True)
class StageProgress:
    """The progress of a stage."""

    stage: Stage
    """The stage."""
    steps: int
    """Steps done."""
    total: int
    """Steps it takes, as far as is known: an extension counts once it is entered."""
    is_current: bool
    """Whether it is trained now."""
    loss: float | None
    """Mean of its last steps, 20 at most; None where this process trained none of it."""
    seconds: float | None
    """How long this process has trained it."""


class RunProgress:
    """The progress of a run, from the steps reported so far."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._names = [stage.name for stage in stages]
        self._first: dict[str, Step] = {}
        self._last: dict[str, Step] = {}
        self._nll: deque[tuple[float | None, ...]] = deque(maxlen=RECENT)
        self._answer_nll: deque[float] = deque(maxlen=RECENT)
        self._distances: deque[tuple[float, ...]] = deque(maxlen=RECENT)
        self.latest: Step | None = None
        """The last step that was reported."""

    def add(self, step: Step) -> None:
        """Add a step."""
        if step.stage not in self._first:
            self._first[step.stage] = step
            self._nll.clear()
            self._answer_nll.clear()
            self._distances.clear()
        self._nll.append(step.nll)
        self._answer_nll.append(step.answer_nll)
        self._distances.append(step.distances)
        self._last[step.stage] = self.latest = step

    @property
    def stage(self) -> Stage | None:
        """The stage of the last step."""
        return None if self.latest is None else self._stages[self._names.index(self.latest.stage)]

    @property
    def stages(self) -> list[StageProgress]:
        """The progress of every stage."""
        current = -1 if self.latest is None else self._names.index(self.latest.stage)
        return [self._of(stage, place, current) for place, stage in enumerate(self._stages)]

    @property
    def done(self) -> int:
        """Steps done in all stages, those of an interrupted run included."""
        return 0 if self.latest is None else self.latest.done

    @property
    def total(self) -> int:
        """Steps of all stages, as far as is known."""
        return self.done + sum(stage.total - stage.steps for stage in self.stages)

    @property
    def seconds_left(self) -> float:
        """Time for the rest, at the pace of the last steps; there must be one."""
        assert self.latest is not None
        return (self.total - self.done) * self.latest.step_seconds

    @property
    def nll(self) -> list[float | None]:
        """-log p by the readouts' place, mean over the stage's last steps, 20 at most; None where none had it."""
        return _means(self._nll)

    @property
    def answer_nll(self) -> float:
        """-log p a token of the answers, likewise; there must be a step."""
        return sum(self._answer_nll) / len(self._answer_nll)

    @property
    def distances(self) -> list[float]:
        """Distances to the teacher's states, by taught latent step, likewise."""
        return [mean for mean in _means(self._distances) if mean is not None]

    def _of(self, stage: Stage, place: int, current: int) -> StageProgress:
        first, last = self._first.get(stage.name), self._last.get(stage.name)
        if first is None or last is None:  # not begun, or ended before this process began
            steps = stage.steps if place < current else 0
            return StageProgress(stage, steps, stage.steps, False, None, None)
        total = max(stage.steps, last.step) if place == current else last.step
        seconds = last.seconds - first.seconds + first.step_seconds
        return StageProgress(stage, last.step, total, place == current, last.recent_loss, seconds)


def _means(steps: Collection[Sequence[float | None]]) -> list[float | None]:
    """Return the means by place over those steps that have it, None where none has."""
    known = [[value for value in values if value is not None] for values in zip_longest(*steps)]
    return [sum(values) / len(values) if values else None for values in known]
