"""What an experiment runs: arms, seeds, and where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""
BLOCK_ARMS = ("rim", "no-curriculum", "fading-with-blocks")
"""Arms that are read after blocks; the others are read right after the question."""
CHAIN_ARM = "cot"
"""The arm that writes its steps."""
_FEW = 3
"""Seeds that tables show one by one."""


@dataclass(frozen=True)
class Condition:
    """What is trained and read under one name."""

    arm: str | None
    """What `rim-edge train --arm` takes; None: nothing is trained, the base is read."""
    recipe: str = "train"
    """The recipe's file, without `.toml`."""
    rows: str = ""
    """What the names of its files of rows end in."""


@dataclass(frozen=True)
class Run:
    """One condition with one seed."""

    arm: str
    """The condition's name; an arm's, where the design says nothing else of it."""
    seed: int
    """Of start, warm-up and arm."""

    @property
    def name(self) -> str:
        """Names the checkpoint's folder."""
        return f"{self.arm}-{self.seed}"


@dataclass(frozen=True)
class Design:
    """One experiment."""

    name: str
    """The package below `experiments`, and the folder below the work folder."""
    seeds: Mapping[str, tuple[int, ...]]
    """The seeds of every condition, in the order of the table."""
    chain_tokens: int
    """How many tokens the chain-of-thought arm may write."""
    variant: str = ""
    """Names what differs from the experiment itself; its results are kept apart."""
    tests: tuple[str, ...] = ("test",)
    """Files of questions, without `.jsonl.gz`."""
    steps: Mapping[str, int] = field(default_factory=dict)
    """Optimizer steps by recipe, where they are not the recipe's own."""
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """Conditions that are more than an arm, by name."""
    dev: str | None = None
    """A file of questions, without `.jsonl.gz`, that runs are scored on while they go on; None: they are not."""
    base: Path | None = None
    """A checkpoint that every run begins with; None: each seed's warm-up."""
    each_block: bool = False
    """Whether each block alone is exchanged for another question's, too, where runs have blocks."""
    threads: int | None = 1
    """CPU threads of a run; None leaves torch's choice."""

    @property
    def title(self) -> str:
        """Names the tables."""
        return f"{self.name} {self.variant}".strip()

    @property
    def folder(self) -> Path:
        """Where its recipes and its results are kept."""
        return ROOT / "experiments" / self.name

    @property
    def results(self) -> Path:
        """What was found."""
        return self.folder / f"results{'-' * bool(self.variant)}{self.variant.replace(' ', '-')}.json"

    def condition(self, name: str) -> Condition:
        """Return the condition of this name."""
        return self.conditions.get(name, Condition(name))

    @property
    def over_seeds(self) -> bool:
        """Whether it has so many seeds that its tables show means over them, and not each."""
        return len(self.every_seed) > _FEW

    @property
    def every_seed(self) -> tuple[int, ...]:
        """The seeds that some arm has."""
        return tuple(sorted({seed for seeds in self.seeds.values() for seed in seeds}))

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs: every arm with its first seed, then the others."""
        most = max(len(seeds) for seeds in self.seeds.values())
        turns = ((place, arm) for place in range(most) for arm in self.seeds)
        return tuple(Run(arm, self.seeds[arm][place]) for place, arm in turns if place < len(self.seeds[arm]))
