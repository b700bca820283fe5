"""Ask a reader the rows of a file, part by part, and keep what was read so far. Needs no torch."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rim_edge.errors import DataError
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Reader, Reading
from rim_edge.evaluation.scores import Read, Report, report

AT_ONCE = 64
"""Rows of a part; each is asked with every number of blocks before the next part begins."""


@dataclass(frozen=True)
class Row:
    """A row of a file that is scored."""

    place: str
    """Where it stands, such as `line 3`."""
    item: Item
    """Its question and right answer."""


@dataclass(frozen=True)
class LeftOut:
    """Rows that are left out for one reason."""

    reason: str
    """Why, in words that fit many rows."""
    count: int
    """How many."""
    first: str
    """Where the first of them stands."""

    def __str__(self) -> str:
        rows = "1 row" if self.count == 1 else f"{self.count:,} rows"
        return f"{rows} left out, {self.reason}; the first: {self.first}"


@dataclass(frozen=True)
class Selection:
    """Rows that can be asked, and those that cannot."""

    rows: tuple[Row, ...]
    """What is scored; one row at least."""
    left_out: tuple[LeftOut, ...]
    """What is not, by reason."""


def select(rows: Sequence[Row], reader: Reader, name: str) -> Selection:
    """Sort out the rows that a reader cannot be asked. Raises DataError where it can be asked none."""
    refused: dict[str, list[str]] = {}
    kept = []
    for row in rows:
        if (reason := reader.refusal(row.item)) is None:
            kept.append(row)
        else:
            refused.setdefault(reason, []).append(row.place)
    left_out = tuple(LeftOut(reason, len(places), places[0]) for reason, places in refused.items())
    if not kept:
        raise DataError(f"None of the rows of {name} can be scored: {'. '.join(map(str, left_out))}.")
    return Selection(tuple(kept), left_out)


@dataclass
class Asked:
    """Rows and what was read of them so far."""

    rows: tuple[Row, ...]
    """All rows that are to be asked."""
    readings: dict[int, Reading] = field(default_factory=dict)
    """By the row's place in `rows`; the others were not asked yet."""

    @property
    def is_whole(self) -> bool:
        """Whether all were asked."""
        return len(self.readings) == len(self.rows)

    def ask(self, reader: Reader, budgets: range, seed: int) -> Iterator[int]:
        """Ask all rows, and give after each part how many it had.

        A part has questions of similar length, which wastes least, and parts come in a random order: so what was
        read of some parts is a fair sample of the file. `seed` says which question's blocks another one gets.
        """
        others = _others([row.item for row in self.rows], seed) if budgets[-1] else [None] * len(self.rows)
        for places in _parts(self.rows):
            items = [self.rows[place].item for place in places]
            read = reader.read(items, [others[place] for place in places], budgets)
            self.readings.update(zip(places, read, strict=True))
            yield len(places)

    def report(self) -> Report:
        """Compare what was read with the right answers; one row at least must have been asked."""
        places = sorted(self.readings)
        items = [self.rows[place].item for place in places]
        read = [self.readings[place] for place in places]
        shuffled = [one.shuffled for one in read if one.shuffled is not None]
        chains = [one.chain for one in read if one.chain is not None]
        by_blocks = {blocks: [one.by_blocks[blocks] for one in read] for blocks in read[0].by_blocks}
        lettered = sum(bool(item.letters) for item in items)
        return report(
            items,
            Read(
                by_blocks,
                shuffled=shuffled if shuffled and len(shuffled) == lettered else None,
                chain=chains if len(chains) == len(items) else None,
            ),
        )

    def lines(self) -> str:
        """Return one line of JSON for each row that was asked, in the file's order."""
        return "".join(f"{self._line(place)}\n" for place in sorted(self.readings))

    def _line(self, place: int) -> str:
        row, reading = self.rows[place], self.readings[place]
        last = max(reading.by_blocks)
        body = {
            "row": row.place,
            "question": row.item.question,
            "answer": row.item.answer,
            "right": reading.by_blocks[last] == row.item.answer,
            "by_blocks": {str(blocks): read for blocks, read in reading.by_blocks.items()},
            "probabilities": reading.probabilities,
            "shuffled_blocks": reading.shuffled,
            "chain": reading.chain,
        }
        return json.dumps(body, ensure_ascii=False)


def partners(count: int, seed: int) -> list[int]:
    """Return for each of `count` questions (2 or more) another one, each once."""
    order = list(range(count))
    random.Random(f"rim-edge swapped blocks {seed}").shuffle(order)
    partner = dict(zip(order, order[1:] + order[:1], strict=True))
    return [partner[place] for place in range(count)]


def _others(items: Sequence[Item], seed: int) -> list[Item | None]:
    """Return for each item with letters another one of them; None for open ones, and where there is only one."""
    letters = [place for place, item in enumerate(items) if item.letters]
    others: list[Item | None] = [None] * len(items)
    if len(letters) > 1:
        for place, partner in zip(letters, partners(len(letters), seed), strict=True):
            others[place] = items[letters[partner]]
    return others


def _parts(rows: Sequence[Row]) -> list[list[int]]:
    by_length = sorted(range(len(rows)), key=lambda place: len(rows[place].item.question))
    parts = [by_length[at : at + AT_ONCE] for at in range(0, len(by_length), AT_ONCE)]
    random.Random("rim-edge parts").shuffle(parts)
    return parts
