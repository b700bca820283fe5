"""The teacher's states of a run's questions, from the folder that `rim-edge rollouts` wrote.

| file                    | what is in it                                                                     |
| ----------------------- | --------------------------------------------------------------------------------- |
| `rollouts.jsonl`        | a line for each rollout: `question_sha256`, `rollout`, `text`, `right`, `tokens`  |
| `teachers.safetensors`  | `right`, `all`: float32 [questions, steps, hidden], means over the right ones and |
|                         | over all; `right_count`, `count`: int64 [questions], over how many                |
| `run.json`              | what the rollouts are of, and the questions' hashes in the order of the tensors   |
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from rim_runtime.machine.json_files import read_json
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rim_edge.errors import DataError
from rim_edge.recipe.latent import LatentTraining
from rim_edge.recipe.switches import Teacher

ROLLOUTS, TEACHERS, RUN = "rollouts.jsonl", "teachers.safetensors", "run.json"
ALL, RIGHT, COUNT, RIGHT_COUNT = "all", "right", "count", "right_count"


def question_key(question: str) -> str:
    """Return what names a question in rollouts: the SHA-256 of its text."""
    return hashlib.sha256(question.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Teachers:
    """States by question."""

    states: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    """float32 [steps, hidden] by the question's key."""

    def of(self, question: str) -> Tensor | None:
        """Return the states of a question; None where it has none."""
        return self.states.get(question_key(question)) if self.states else None


NO_TEACHERS = Teachers()
"""Nothing is compared."""


def read_teachers(folder: Path, latent: LatentTraining, width: int) -> Teachers:
    """Read the states of a recipe's rollouts. Raises DataError for none, or for those of other steps or models."""
    path = folder / TEACHERS
    try:
        keys = list(read_json(folder / RUN)["questions"])
        tensors = load_file(path)
        states = tensors[RIGHT if latent.teacher is Teacher.RIGHT else ALL]
        counts = tensors[RIGHT_COUNT if latent.teacher is Teacher.RIGHT else COUNT]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(
            f"{folder} holds no teacher's states ({type(error).__name__}: {error}). Write them: rim-edge rollouts "
            f"--output {folder}"
        ) from None
    if states.shape != (len(keys), latent.steps, width):
        _, steps, channels = states.shape if states.ndim == 3 else (0, 0, 0)
        raise DataError(
            f"{path} has {steps} states of {channels} channels a question, expected {latent.steps} of {width}. "
            f"Pass --latent-steps {latent.steps} to 'rim-edge rollouts' and the model that is trained; the texts "
            "that are there are kept."
        )
    taught = zip(keys, states, counts.tolist(), strict=True)
    return Teachers({key: state for key, state, count in taught if count})
