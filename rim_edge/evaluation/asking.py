"""Ask a reader the rows of a file, part by part, and keep what was read so far. Needs no torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rim_edge.errors import DataError
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.measured import Measured, measure
from rim_edge.evaluation.reading import Given, Reader, Reading
from rim_edge.evaluation.scores import Read, Report, Score, report


@dataclass(frozen=True)
class Row:
    """A row of a file that is scored."""

    place: str
    """Where it stands, such as `line 3`."""
    item: Item
    """Its question and right answer."""
    subject: str = ""
    """The field it belongs to, such as Anatomy; empty where the row names none."""


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

    @property
    def given(self) -> list[Given]:
        """The answers with the most blocks to the rows that were asked, in the rows' order."""
        return [self.readings[place].last for place in sorted(self.readings)]

    def ask(self, reader: Reader, budgets: range, seed: int) -> Iterator[list[int]]:
        """Ask all rows that were not read yet, and give after each part the places of its rows.

        Each row of a part is asked with every number of blocks before the next part begins. A part has questions
        of similar length, which wastes least, and parts come in a random order: so what was read of some parts is
        a fair sample of the file. `seed` says which question's blocks another one gets.
        """
        others = _others([row.item for row in self.rows], seed) if budgets[-1] else [None] * len(self.rows)
        for part in _parts(self.rows, reader.at_once):
            places = [place for place in part if place not in self.readings]
            if not places:
                continue
            items = [self.rows[place].item for place in places]
            read = reader.read(items, [others[place] for place in places], budgets)
            self.readings.update(zip(places, read, strict=True))
            yield places

    def report(self) -> Report:
        """Compare what was read with the right answers; one row at least must have been asked."""
        places = sorted(self.readings)
        items = [self.rows[place].item for place in places]
        read = [self.readings[place] for place in places]
        shuffled = [one.shuffled for one in read if one.shuffled is not None]
        exchanged = [one.exchanged for one in read if one.exchanged is not None]
        chains = [one.chain for one in read if one.chain is not None]
        by_blocks = {blocks: [one.by_blocks[blocks].answer for one in read] for blocks in read[0].by_blocks}
        lettered = sum(bool(item.letters) for item in items)
        return report(
            items,
            Read(
                by_blocks,
                shuffled=shuffled if shuffled and len(shuffled) == lettered else None,
                exchanged=_by_block(exchanged) if exchanged and len(exchanged) == lettered else None,
                chain=chains if len(chains) == len(items) else None,
            ),
        )

    @property
    def first_letters(self) -> Score | None:
        """Of how many questions the likeliest first token is a letter by itself.

        None where no letter was read, or nobody looked at some of them, as earlier releases did not.
        """
        read = [one for place, one in self.readings.items() if self.rows[place].item.letters]
        looked = [one.first_is_letter for one in read if one.first_is_letter is not None]
        return Score(sum(looked), len(looked)) if looked and len(looked) == len(read) else None

    @property
    def position_bias(self) -> float | None:
        """How far the answered letters are from the right ones, as distributions: total variation, 0 to 1.

        0: each letter is answered as often as it is right. None where no letter was read.
        """
        places = [place for place in self.readings if self.rows[place].item.letters]
        if not places or any(self.readings[place].last.text is not None for place in places):
            return None
        given = Counter(self.readings[place].last.answer for place in places)
        right = Counter(self.rows[place].item.answer for place in places)
        return sum(abs(given[letter] - right[letter]) for letter in {*given, *right}) / (2 * len(places))

    def measured(self, pass_at: Sequence[int]) -> dict[int, Measured]:
        """Return by the number of blocks what the answers took, and their pass@k for each k of `pass_at`."""
        places = sorted(self.readings)
        items = [self.rows[place].item for place in places]
        read = [self.readings[place].by_blocks for place in places]
        return {blocks: measure(items, [one[blocks] for one in read], pass_at) for blocks in read[0]}


def partners(count: int, seed: int) -> list[int]:
    """Return for each of `count` questions (2 or more) another one, each once."""
    order = list(range(count))
    random.Random(f"rim-edge swapped blocks {seed}").shuffle(order)
    partner = dict(zip(order, order[1:] + order[:1], strict=True))
    return [partner[place] for place in range(count)]


def _by_block(exchanged: Sequence[Mapping[int, str]]) -> dict[int, list[str]]:
    return {block: [letters[block] for letters in exchanged] for block in exchanged[0]}


def _others(items: Sequence[Item], seed: int) -> list[Item | None]:
    """Return for each item with letters another one of them; None for open ones, and where there is only one."""
    letters = [place for place, item in enumerate(items) if item.letters]
    others: list[Item | None] = [None] * len(items)
    if len(letters) > 1:
        for place, partner in zip(letters, partners(len(letters), seed), strict=True):
            others[place] = items[letters[partner]]
    return others


def _parts(rows: Sequence[Row], at_once: int) -> list[list[int]]:
    by_length = sorted(range(len(rows)), key=lambda place: len(rows[place].item.question))
    parts = [by_length[at : at + at_once] for at in range(0, len(by_length), at_once)]
    random.Random("rim-edge parts").shuffle(parts)
    return parts
