"""Everything that the training loop works on, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rim_edge.train.curriculum import Curriculum
from rim_edge.train.encode import ExampleEncoder
from rim_edge.train.processes import Processes
from rim_edge.train.recipe import Resources
from rim_edge.train.sources import ExampleSource


@dataclass(frozen=True)
class Run:
    """Everything that a training run consists of."""

    model: Any
    """A transformers causal language model in fp32; what requires gradients is trained in place."""
    encoder: ExampleEncoder
    """Makes ids of examples."""
    source: ExampleSource
    """Gives the examples."""
    curriculum: Curriculum
    """What is trained, and for how long."""
    padding: int
    """The id that fills rows."""
    resources: Resources = field(default_factory=Resources)
    """What it may use."""
    seed: int = 0
    """Of dropout."""
    processes: Processes = field(default_factory=Processes)
    """Who trains."""
