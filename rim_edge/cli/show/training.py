"""What `rim-edge train` shows while it goes on: one live view on a terminal, some plain lines elsewhere.

Nothing is shown before the first news, and of a run's processes only the first one has any.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rim_edge.cli.show.training_progress import RunProgress, StageProgress

if TYPE_CHECKING:
    from rim_edge.evaluation.scores import StageScores
    from rim_edge.recipe.curriculum import Curriculum
    from rim_edge.training.loop import Step

_REFRESHES_A_SECOND = 4
_PLAIN_LINES = 10
_READOUTS_SHOWN = 16
_LOSS_WIDTH = len("loss 10.000")


class View(Protocol):
    """What shows a run."""

    def step(self, step: Step) -> None:
        """Show a step."""

    def doing(self, text: str) -> None:
        """Show what is done besides steps."""

    def scored(self, scores: StageScores) -> None:
        """Show a stage's accuracy."""


@contextmanager
def training_view(console: Console, curriculum: Curriculum) -> Iterator[View]:
    """Give the view that suits where stderr goes."""
    if not console.is_terminal:
        yield PlainLines(console, curriculum)
        return
    with ExitStack() as stack:
        view = LiveView(console, curriculum, stack)
        yield view
        view.end()


class PlainLines:
    """A line at every tenth of the steps, and one behind each stage that is scored."""

    def __init__(self, console: Console, curriculum: Curriculum) -> None:
        self._console = console
        self._progress = RunProgress(curriculum)
        self._told = 0

    def step(self, step: Step) -> None:
        """Say a line if another tenth is done."""
        self._progress.add(step)
        tenth = _PLAIN_LINES * step.done // self._progress.total
        if tenth > self._told:
            self._told = tenth
            self._say(_plain(self._progress, step))

    def doing(self, text: str) -> None:
        """Say nothing."""

    def scored(self, scores: StageScores) -> None:
        """Say a stage's accuracies."""
        shares = " ".join(f"{score.accuracy:.1%}" for score in scores.by_blocks)
        self._say(f"{scores.stage}: right with 0, 1, … blocks: {shares}")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class LiveView:
    """A view that is drawn from the last news some times a second, from the first news on."""

    def __init__(self, console: Console, curriculum: Curriculum, stack: ExitStack) -> None:
        self._progress = RunProgress(curriculum)
        self._scores: dict[str, StageScores] = {}
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
        """Show what is done besides steps."""
        self._doing = Spinner("dots", Text(text), style="cyan")
        self._open()

    def scored(self, scores: StageScores) -> None:
        """Show a stage's accuracy with all its blocks."""
        self._scores[scores.stage] = scores
        self._doing = None

    def end(self) -> None:
        """Show what has come of the run, which is done."""
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
        scores = self._scores.get(progress.stage.name)
        return [
            mark,
            Text(progress.stage.name, "bold" if progress.is_current else ""),
            ProgressBar(progress.total, progress.steps),
            _of(progress.steps, progress.total),
            "" if progress.loss is None else f"loss {progress.loss:.3f}",
            "" if scores is None else f"right {scores.by_blocks[-1].accuracy:.1%}",
            "" if progress.seconds is None else _clock(progress.seconds),
        ]


def _now(progress: RunProgress) -> list[RenderableType]:
    """Return the lines below the bars: pace, rate and time left, then -log p by readout."""
    step = progress.latest
    if step is None:
        return []
    pace = Text.assemble(
        (f"{step.tokens_per_second:,.0f}", "bold"),
        f" tokens/s ({_padding(step)} padding)   rate {step.learning_rate:.2e}   ",
        (_clock(progress.seconds_left), "bold"),
        " left",
    )
    return [pace, _readouts(progress.nll)]


def _readouts(nll: list[float]) -> RenderableType:
    """Return -log p by readout, compact: green where p > 0.9, yellow where p > 0.5; some left out of many."""
    if len(nll) == 1:
        return Text.assemble("-log p  ", _shade(nll[0]))
    stride = math.ceil(len(nll) / _READOUTS_SHOWN)
    places = range((len(nll) - 1) % stride, len(nll), stride)
    cells = [Text.assemble((f"{place + 1} ", "dim"), _shade(nll[place])) for place in places]
    row = Table.grid(padding=(0, 2))
    row.add_row("-log p by readout", Columns(cells, padding=(0, 2)))
    return row


def _shade(nll: float) -> tuple[str, str]:
    return f"{nll:.2f}", "green" if nll < -math.log(0.9) else "yellow" if nll < -math.log(0.5) else ""


def _plain(progress: RunProgress, step: Step) -> str:
    nll = " ".join(f"{value:.2f}" for value in progress.nll)
    pace = f"{step.tokens_per_second:,.0f} tokens/s, {_clock(progress.seconds_left)} left"
    return (
        f"{step.stage}, step {step.step:,}; {step.done:,} of {progress.total:,} in all: "
        f"loss {step.recent_loss:.3f}, -log p {nll}, {pace}"
    )


def _padding(step: Step) -> str:
    return f"{step.padding / (step.tokens + step.padding):.0%}"


def _of(done: int, total: int) -> str:
    return f"{done:,}/{total:,}"


def _clock(seconds: float) -> str:
    """Return a time as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
