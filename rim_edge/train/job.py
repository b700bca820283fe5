"""One training run from its inputs to the checkpoint on disk: what `rim-edge train` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import torch
from rim_export.checkpoint import read_config
from rim_export.contract import RimSettings, derive_contract
from rim_runtime.storage import new_folder

from rim_edge.demo.puzzles import ROOMS, fresh_puzzles
from rim_edge.train.checkpoint import read_checkpoint, saved_dtype, write_checkpoint
from rim_edge.train.curriculum import Curriculum
from rim_edge.train.encode import ExampleEncoder
from rim_edge.train.errors import CurriculumError, DataError
from rim_edge.train.evaluate import accuracy_by_blocks
from rim_edge.train.examples import Example, read_examples
from rim_edge.train.loop import Run, StageResult, Step, train
from rim_edge.train.presets import Preset
from rim_edge.train.sources import ExampleSource, PuzzleSource, RowSource

ACCURACY_SEED = 2_000
"""Seed of the fresh puzzles that measure the trained model."""
ACCURACY_COUNT = 1_000
"""How many of them."""
_METRICS_EVERY = 10


@dataclass(frozen=True)
class Job:
    """What to train, from what, and where to put it."""

    preset: Preset
    """Curriculum, blocks, and the model from scratch if there is one."""
    out: Path
    """The checkpoint folder to write."""
    model: Path | None = None
    """A transformers folder to start from; None starts from scratch."""
    data: tuple[Path, ...] = ()
    """Files of rows; none means puzzles, for the demo preset."""
    steps: int | None = None
    """Optimizer steps of all stages together; None keeps the preset's."""
    seed: int = 0
    """Of weights, order and puzzles."""
    threads: int | None = None
    """CPU threads; None leaves torch's choice."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run gives."""

    checkpoint: Path
    """The folder."""
    stages: tuple[StageResult, ...]
    """How each stage ended."""
    accuracy_by_blocks: tuple[float, ...] | None
    """On fresh puzzles, with the saved weights, 0..K blocks; None where rows were trained on."""


@dataclass(frozen=True)
class _Student:
    """The model that is trained, and what belongs to it."""

    model: Any
    tokenizer: Any
    rim: RimSettings
    dtype: torch.dtype


def curriculum_of(job: Job) -> Curriculum:
    """Return the job's curriculum, scaled to its steps."""
    curriculum = job.preset.curriculum
    return curriculum if job.steps is None else curriculum.scaled(job.steps)


def run_job(job: Job, report: Callable[[Step], None]) -> Outcome:
    """Train, write the checkpoint, and measure it. Bad inputs are refused before anything is trained."""
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    with new_folder(job.out) as folder:
        curriculum = curriculum_of(job)
        source = _source(job)
        student = _student(job)
        encoder = ExampleEncoder(student.tokenizer, derive_contract(student.tokenizer, student.rim))
        run = Run(student.model, encoder, source, curriculum, _padding(student.tokenizer))
        with (folder / "metrics.jsonl").open("w", encoding="utf-8") as metrics:
            stages = train(run, lambda step: _record(step, metrics, report))
        write_checkpoint(folder, student.model, student.tokenizer, student.rim, student.dtype)
        accuracy = None if job.data else _puzzle_accuracy(folder, encoder)
        _write_summary(folder, job, run, stages, accuracy)
    return Outcome(job.out, tuple(stages), accuracy)


def _source(job: Job) -> ExampleSource:
    if job.data:
        rows: list[Example] = [example for path in job.data for example in read_examples(path)]
        return RowSource(rows, job.seed)
    if job.preset.config is None:
        raise DataError(f"The preset '{job.preset.name}' has no data of its own. Pass --data FILE.")
    return PuzzleSource(job.seed)


def _student(job: Job) -> _Student:
    torch.manual_seed(job.seed)
    if job.model is None:
        return _from_scratch(job.preset)
    config = read_config(job.model)
    rim = RimSettings.from_config(config) or job.preset.rim
    model, tokenizer = read_checkpoint(job.model)
    _add_rim_tokens(model, tokenizer, rim)
    return _Student(model, tokenizer, rim, saved_dtype(config))


def _from_scratch(preset: Preset) -> _Student:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from rim_edge.demo.tokenizer import build_tokenizer

    if preset.config is None or preset.saved_dtype is None:
        raise CurriculumError(f"The preset '{preset.name}' has no model of its own. Pass --model DIR.")
    tokenizer = build_tokenizer()
    config = Qwen3Config(
        **preset.config,
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        attn_implementation="sdpa",
    )
    model = Qwen3ForCausalLM(config)
    if preset.embedding_std is not None:
        torch.nn.init.normal_(model.get_input_embeddings().weight, 0.0, preset.embedding_std)
    return _Student(model, tokenizer, preset.rim, getattr(torch, preset.saved_dtype))


def _add_rim_tokens(model: Any, tokenizer: Any, rim: RimSettings) -> None:
    """Add the RiM tokens that the tokenizer lacks; the embedding grows only where it has no unused rows."""
    known = tokenizer.get_added_vocab()
    tokenizer.add_tokens([token for token in rim.tokens if token not in known], special_tokens=True)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def _padding(tokenizer: Any) -> int:
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _record(step: Step, metrics: TextIO, report: Callable[[Step], None]) -> None:
    if step.step % _METRICS_EVERY == 0 or step.step == 1:
        metrics.write(json.dumps(asdict(step)) + "\n")
        metrics.flush()
    report(step)


def _puzzle_accuracy(folder: Path, encoder: ExampleEncoder) -> tuple[float, ...]:
    """Measure what was saved, not what was trained: the weights are rounded by now."""
    model, _ = read_checkpoint(folder)
    puzzles = fresh_puzzles(ACCURACY_COUNT, ACCURACY_SEED)
    items = [(puzzle.question, puzzle.answer) for puzzle in puzzles]
    return tuple(accuracy_by_blocks(model.eval(), encoder, items, ROOMS))


def _write_summary(
    folder: Path,
    job: Job,
    run: Run,
    stages: list[StageResult],
    accuracy: tuple[float, ...] | None,
) -> None:
    """Write training.json: the resolved run and how it ended."""
    summary = {
        "preset": job.preset.name,
        "model": None if job.model is None else job.model.name,
        "data": [path.name for path in job.data],
        "seed": job.seed,
        "threads": torch.get_num_threads(),
        "curriculum": asdict(run.curriculum),
        "prompt": asdict(run.encoder.contract),
        "stages": [asdict(replace(stage, seconds=round(stage.seconds, 1))) for stage in stages],
        "accuracy_by_blocks": accuracy,
    }
    text = json.dumps(summary, indent=2) + "\n"
    (folder / "training.json").write_text(text, encoding="utf-8")
