"""Score all that a card lists, one model after another, and go on where it was stopped."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rim_runtime.errors import InputError, TargetExistsError

from rim_edge.cli.evaluating.scoring import Wanted, read_rows, score
from rim_edge.cli.evaluating.subjects import Chosen, MakeReader, opened
from rim_edge.cli.output import note
from rim_edge.evaluation.report.table import Line, NotAsked, Part, Table

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored
    from rim_edge.evaluation.asking import Row
    from rim_edge.evaluation.report.card import Card, CardModel, CardWay


@dataclass
class CardRun:
    """A card, and what was found so far."""

    card: Card
    """What is to be scored."""
    rows: dict[str, tuple[Row, ...]]
    """Rows by their data's name."""
    lines: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    """By the data's name."""
    not_asked: dict[str, list[NotAsked]] = field(default_factory=lambda: defaultdict(list))
    """By the data's name."""
    is_whole: bool = True
    """Whether nobody stopped it."""

    def score(self) -> Table:
        """Ask all that is not saved yet; end early, and quietly, where the user stops it."""
        for model in self.card.models:
            if self.is_whole:
                self._score_model(model)
        names = [data.name for data in self.card.data]
        parts = tuple(Part(name, tuple(self.lines[name]), tuple(self.not_asked[name])) for name in names)
        return Table(self.card.title, parts, self.is_whole)

    def _score_model(self, model: CardModel) -> None:
        chosen = Chosen(model.bundle, model.engine, model.precision, model.checkpoint, model.device)
        try:
            with opened(chosen) as make:
                for way in self.card.ways_of(model):
                    self._score_way(model, way, make)
        except KeyboardInterrupt:
            note(f"stopped at {model.name}")
            self.is_whole = False

    def _score_way(self, model: CardModel, way: CardWay, make: MakeReader) -> None:
        manner = self.card.manner(way)
        for data in self.card.data:
            if not self.is_whole:
                return
            note(f"{model.name}, {way.name}, {data.name}")
            wanted = Wanted(
                file=data.file,
                rows=self.rows[data.name],
                manner=manner,
                blocks=way.blocks,
                seed=self.card.seed,
                pass_at=self.card.pass_at_of(way),
                save=self.card.saved(model, way, data),
            )
            try:
                scored = score(make(manner), wanted)
            except TargetExistsError:  # rows of another run: the user decides what happens to them
                raise
            except InputError as error:
                note(str(error))
                self.not_asked[data.name].append(NotAsked(model.name, way.name, str(error)))
                continue
            self._keep(scored, data.name, model, way)

    def _keep(self, scored: Scored, data: str, model: CardModel, way: CardWay) -> None:
        self.is_whole = scored.asked.is_whole
        if not scored.asked.readings:
            return
        by_blocks = scored.report.by_blocks
        for blocks, found in by_blocks.items():
            shown = blocks if way.way.has_blocks else None
            self.lines[data].append(Line(model.name, way.name, shown, found, scored.measured[blocks]))


def run_card(file: Path, limit: int | None) -> Table:
    """Read a card and score it; `limit` overrides its own. Raises DataError before anything is asked."""
    from rim_edge.evaluation.report.card import read_card

    card = read_card(file)
    rows = {
        data.name: read_rows(data.file, skip_bad=False, limit=limit or data.limit or card.limit)
        for data in card.data
    }
    return CardRun(card, rows).score()
