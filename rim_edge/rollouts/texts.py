"""Rollouts as texts: drawn from a checkpoint, or a row's own steps; kept line by line, so that a run can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rim_runtime.errors import TargetExistsError
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.storage import storage_errors, write_file

from rim_edge.data.rows import Example
from rim_edge.evaluation.decoding import Chooser, Decoding, decoded
from rim_edge.evaluation.extraction import anywhere
from rim_edge.evaluation.items import items_of
from rim_edge.evaluation.readers.checkpoint_reader import OpenModel
from rim_edge.methods.qthink.samples import latent_prompt, solution
from rim_edge.methods.qthink.teachers import ROLLOUTS, RUN
from rim_edge.recipe.switches import Target
from rim_edge.rollouts.plan import RolloutPlan

_TOGETHER = 64
"""Texts that are written at once."""


@dataclass(frozen=True)
class Rollout:
    """One written solution."""

    question_sha256: str
    """The question's key."""
    rollout: int
    """Its number among the question's, from 0."""
    text: str
    """What was written."""
    right: bool
    """Whether its answer is right."""
    tokens: int
    """Its length."""


class RolloutFile:
    """The rollouts of a folder, whole questions only."""

    def __init__(self, folder: Path, plan: RolloutPlan) -> None:
        """Open a folder, or begin one. Raises TargetExistsError for one of another run, and StorageError."""
        self._path, run = folder / ROLLOUTS, folder / RUN
        each = 1 if plan.draws is None else plan.draws.samples
        is_ours = _name_in(run) == plan.name
        if not is_ours and folder.exists() and any(folder.iterdir()):
            raise TargetExistsError(
                f"{folder} already exists, and holds something else than rollouts of this very run (model, "
                "rows, instruction and draws), expected a new folder or that one. Choose another --output."
            )
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_file(run, json.dumps({"run": plan.name, "questions": plan.questions}, indent=1) + "\n")
        self.rollouts = _whole(self._path, each)
        """What is there, in the order of the questions."""
        self._bytes = len(_lines(self.rollouts))

    def add(self, rollouts: Sequence[Rollout]) -> None:
        """Write those of some questions behind the others. Raises StorageError."""
        lines = _lines(rollouts)
        with storage_errors(self._path), self._path.open("r+b" if self._path.exists() else "wb") as out:
            out.truncate(self._bytes)  # without the half question of a run that was killed
            out.seek(self._bytes)
            out.write(lines)
            out.flush()
            os.fsync(out.fileno())
        self.rollouts += rollouts
        self._bytes += len(lines)


def _name_in(run: Path) -> object:
    """Return the name of the run that a folder's file tells of; None where there is none that can be read."""
    try:
        told = read_json(run)
    except (OSError, ValueError):
        return None
    return told.get("run") if isinstance(told, dict) else None


def _lines(rollouts: Sequence[Rollout]) -> bytes:
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rollouts).encode()


def _whole(path: Path, each: int) -> list[Rollout]:
    """Return the rollouts of questions that have all of theirs."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:  # texts have other line separators within a line
        try:
            found.append(Rollout(**json.loads(line)))
        except (ValueError, TypeError):  # what a run that was killed left
            break
    return found[: len(found) // each * each]


def written(plan: RolloutPlan, opened: OpenModel, done: int) -> Iterator[list[Rollout]]:
    """Give the rollouts that are missing behind the first `done` questions, some questions at a time."""
    rest = list(plan.unique.items())[done:]
    each = 1 if plan.draws is None else plan.draws.samples
    size = max(1, _TOGETHER // each)
    for at in range(0, len(rest), size):
        part = rest[at : at + size]
        yield _own(plan, opened, part) if plan.draws is None else _drawn(plan, opened, part)


def _own(plan: RolloutPlan, opened: OpenModel, part: Sequence[tuple[str, Example]]) -> list[Rollout]:
    """Return rows' own steps and answers as rollouts."""
    latent = replace(plan.latent, target=Target.SOLUTION)
    texts = [(key, solution(example, latent)) for key, example in part]
    return [Rollout(key, 0, text, True, len(opened.encoder.encode(text))) for key, text in texts]


def _drawn(plan: RolloutPlan, opened: OpenModel, part: Sequence[tuple[str, Example]]) -> list[Rollout]:
    """Return texts that the model writes; they depend on the seed and on the first of these questions."""
    assert plan.draws is not None
    each, encoder = plan.draws.samples, opened.encoder
    prompts = [
        latent_prompt(encoder, example.question, plan.latent.instruction)
        for _, example in part
        for _ in range(each)
    ]
    seed = hash((plan.draws.seed, int(part[0][0][:12], 16)))
    choose: Callable[..., object] = Chooser(replace(plan.draws, seed=seed))
    ids = decoded(opened.model, prompts, encoder.end_of_turn, plan.max_tokens, Decoding(choose=choose))  # type: ignore[arg-type]
    items = items_of([example for _, example in part])
    found = []
    for place, one in enumerate(ids):
        number, text = place // each, encoder.decode(one)
        right = anywhere(text, items[number]).answer == items[number].answer
        found.append(Rollout(part[number][0], place % each, text, right, len(one)))
    return found
