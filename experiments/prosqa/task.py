r"""The task in symbols: the edges shuffled, each one token, then the root and two options.

    n4>n17 n2>n9 … ? n4\nA: n21\nB: n3           steps n17 n8 n21, answer A

Chance is one in two. Symbols are drawn anew for every question, so that a symbol's name says nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence

from experiments.prosqa.graphs import Graph, draw_graph

SYMBOLS = tuple(f"n{number}" for number in range(30))
"""Names of nodes."""
WORDS = ("A:", "B:", *SYMBOLS, *(f"{a}>{b}" for a in SYMBOLS for b in SYMBOLS if a != b))
"""The language; each is one token."""
HOPS = range(3, 7)
"""From the root to the right leaf, as in ProsQA."""

Row = dict[str, object]


def rows(part: str, seed: int, hops: range = HOPS) -> Iterator[Row]:
    """Give rows of generated graphs without end; no part shares its stream with another one."""
    rng = random.Random(f"prosqa {part} {seed}")
    while True:
        graph = draw_graph(rng, hops)
        yield row_of(rng, rng.sample(graph.edges, len(graph.edges)), graph.path, graph.other)


def row_of(rng: random.Random, edges: Sequence[tuple[int, int]], path: Sequence[int], other: int) -> Row:
    """Return the row of a graph told in this order, under names and an order of the options that are drawn."""
    names = rng.sample(SYMBOLS, len(SYMBOLS))
    right = rng.randrange(2)
    options = [path[-1], other] if right == 0 else [other, path[-1]]
    told = " ".join(f"{names[node]}>{names[below]}" for node, below in edges)
    return {
        "question": f"{told} ? {names[path[0]]}",
        "options": [names[node] for node in options],
        "steps": [names[node] for node in path[1:]],
        "answer": "AB"[right],
    }


def lookups(seed: int) -> Iterator[Row]:
    """Give rows of the warm-up: nodes asked for at random, and after each one a node below it."""
    rng = random.Random(f"prosqa warm-up {seed}")
    while True:
        edges = draw_graph(rng, HOPS).edges
        names = rng.sample(SYMBOLS, len(SYMBOLS))
        told = " ".join(f"{names[node]}>{names[below]}" for node, below in rng.sample(edges, len(edges)))
        asked = [[names[node] for node in edge] for edge in rng.choices(edges, k=_ASKED)]
        yield {"question": told, "steps": [*map(" ".join, asked[:-1]), asked[-1][0]], "answer": asked[-1][1]}


def published(entries: Sequence[Mapping[str, object]]) -> list[Row]:
    """Return ProsQA's own questions in symbols, told in their own order.

    `entries` have "question" and "steps" as in Coconut's prosqa_valid.json. Raises ValueError for a question of
    another form.
    """
    rng = random.Random("prosqa published")
    return [_published(rng, str(entry["question"]), list(map(str, _list(entry["steps"])))) for entry in entries]


def graph_of(question: str, steps: Sequence[str]) -> Graph:
    """Read a question of ProsQA. Raises ValueError where it has another form."""
    asked = _ASK.search(question)
    if asked is None:
        raise ValueError(f"The question ends in {question[-60:]!r}, expected 'Is X a Y or Z?'.")
    numbers: dict[str, int] = {}
    edges = tuple((_number(numbers, a), _number(numbers, b)) for a, b in _FACT.findall(question[: asked.start()]))
    root, *leaves = (_number(numbers, word) for word in asked.groups())
    path = (root, *(_number(numbers, step.rstrip(".").split()[-1]) for step in steps))
    (other,) = set(leaves) - {path[-1]}
    return Graph(edges, path, other)


def _published(rng: random.Random, question: str, steps: Sequence[str]) -> Row:
    graph = graph_of(question, steps)
    return row_of(rng, graph.edges, graph.path, graph.other)


def _number(numbers: dict[str, int], word: str) -> int:
    return numbers.setdefault(word, len(numbers))


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"'steps' is {value!r}, expected a list.")
    return value


_FACT = re.compile(r"(?:Every )?(\w+) is an? (\w+)\.")
_ASK = re.compile(r"Is (\w+) an? (\w+) or (\w+)\?\s*$")
_ASKED = 24
