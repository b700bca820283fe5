"""Random graphs in the style of ProsQA: two families, each below a root of its own, and a leaf of each.

A node is put below one to four nodes that are there already, of one family as a rule. Neither leaf that is asked
for can be reached from both roots. Both are drawn alike, and a coin decides whose root is asked about: nothing but
the way to a leaf tells them apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

NODES = range(20, 27)
"""How many nodes a graph has."""
_PARENTS = (1, 1, 1, 1, 2, 2, 3, 3, 4, 4)
_FOREIGN = 0.12
"""Share of the nodes whose parents may be of any family."""
_DEPTH_BIAS, _LONG_BIAS = 2.1, 3.0
"""A parent one level deeper is so much likelier; more so for seven hops, which are rare."""
_LONG = 7


@dataclass(frozen=True)
class Graph:
    """A question: one leaf is reached from the root, the other one is not."""

    edges: tuple[tuple[int, int], ...]
    """(node, node below it), in the order of their making."""
    path: tuple[int, ...]
    """A shortest way from the root that is asked about to the leaf that it reaches, both included."""
    other: int
    """The leaf that it does not reach."""

    @property
    def hops(self) -> int:
        """The edges of the path."""
        return len(self.path) - 1


def draw_graph(rng: random.Random, hops: range) -> Graph:
    """Draw a graph whose leaves are as many hops below their roots as `hops` allows."""
    bias = _LONG_BIAS if hops.start >= _LONG else _DEPTH_BIAS
    while True:
        edges = _draw_edges(rng, bias)
        pair = [_draw_path(rng, edges, root, hops) for root in (0, 1)]
        if all(pair):
            rng.shuffle(pair)
            return Graph(edges, pair[0], pair[1][-1])


def shortest_paths(edges: Sequence[tuple[int, int]], root: int) -> Mapping[int, tuple[int, ...]]:
    """Return a shortest path to every node that can be reached."""
    below: dict[int, list[int]] = {}
    for node, target in edges:
        below.setdefault(node, []).append(target)
    paths = {root: (root,)}
    queue = [root]
    for node in queue:
        for target in below.get(node, ()):
            if target not in paths:
                paths[target] = (*paths[node], target)
                queue.append(target)
    return paths


def _draw_edges(rng: random.Random, bias: float) -> tuple[tuple[int, int], ...]:
    families, depths = [{0}, {1}], [0, 0]
    edges: list[tuple[int, int]] = []
    for node in range(2, rng.choice(NODES)):
        allowed = list(_candidates(rng, families))
        weights = [bias ** depths[parent] for parent in allowed]
        parents = set(rng.choices(allowed, weights, k=rng.choice(_PARENTS)))
        edges += [(parent, node) for parent in sorted(parents)]
        families.append(set().union(*(families[parent] for parent in parents)))
        depths.append(1 + min(depths[parent] for parent in parents))
    return tuple(edges)


def _candidates(rng: random.Random, families: Sequence[set[int]]) -> Iterator[int]:
    if rng.random() < _FOREIGN:
        return iter(range(len(families)))
    family = {rng.randrange(2)}
    return (node for node, its in enumerate(families) if its == family)


def _draw_path(rng: random.Random, edges: Sequence[tuple[int, int]], root: int, hops: range) -> tuple[int, ...]:
    """Return the way to a leaf that only this root reaches; empty where there is none."""
    inner = {node for node, _ in edges}
    foreign = shortest_paths(edges, 1 - root)
    paths = [
        path
        for node, path in shortest_paths(edges, root).items()
        if node not in inner and node not in foreign and len(path) - 1 in hops
    ]
    return rng.choice(paths) if paths else ()
