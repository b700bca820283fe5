"""Is the state behind each memory block already right? The probe of the RiM paper, by traces.

    python examples/trace_probe.py            # 200 fresh puzzles of the embedded demo
    python examples/trace_probe.py 50 room    # the first 50, of one family

Behind every number of blocks the model's own answer is read, in one pass (`Engine.trace`), and compared with the
right one. A block that computes something shows as a step in the accuracy; a state that is right already, as an
answer that stays.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rim_runtime import Engine, Trace

from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family, Puzzle


def main(count: int, family: Family | None) -> None:
    """Trace puzzles that the demo never saw, and print what was right behind which block."""
    puzzles = fresh_puzzles(count, 20_000, family)
    with Engine.load() as engine:
        traces = [engine.trace(puzzle.question) for puzzle in puzzles]
    print("blocks   right    settled here, of those that end right")
    for blocks, share in enumerate(right_by_block(puzzles, traces)):
        print(f"{blocks:>6}   {share:6.1%}   {settled_share(puzzles, traces, blocks):6.1%}")
    lost = sum(was_right_before(puzzle, trace) for puzzle, trace in zip(puzzles, traces, strict=True))
    print(f"{lost} of {count} were right behind some block, and are wrong behind the last.")


def right_by_block(puzzles: Sequence[Puzzle], traces: Sequence[Trace]) -> list[float]:
    """Return the share of right answers behind 0, 1, …, K blocks."""
    rights = [
        [letter == puzzle.answer for letter in trace.letters]
        for puzzle, trace in zip(puzzles, traces, strict=True)
    ]
    return [sum(column) / len(rights) for column in zip(*rights, strict=True)]


def settled_share(puzzles: Sequence[Puzzle], traces: Sequence[Trace], blocks: int) -> float:
    """Return the share, of the answers that end right, of those that stay from this number of blocks on."""
    ended = [t for p, t in zip(puzzles, traces, strict=True) if t.letters[-1] == p.answer]
    return sum(trace.settled == blocks for trace in ended) / max(1, len(ended))


def was_right_before(puzzle: Puzzle, trace: Trace) -> bool:
    """Return whether an answer that ends wrong was right behind fewer blocks."""
    return trace.letters[-1] != puzzle.answer and puzzle.answer in trace.letters


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 200, Family(given[1]) if len(given) > 1 else None)
