"""The runtime's public interface: load a bundle, ask it, close it.

with Engine.load() as engine:  # the bundle that `rim-edge ask` uses; or a name, or a folder
    answer = engine.ask("Which vitamin deficiency causes scurvy?", ["Vitamin A", "Vitamin C"])
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from rim_runtime.answer import Answer, lead_of, read_letters
from rim_runtime.bundle.folder import Progress
from rim_runtime.bundle.manifest import Manifest, Precision
from rim_runtime.bundle.names import resolve_bundle
from rim_runtime.engines.backend import Answers, Backend, EngineOptions, Floats
from rim_runtime.engines.shapes import similar_lengths
from rim_runtime.errors import BrokenLogitsError, EngineClosedError, QuestionError
from rim_runtime.loading.load import load_parts
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.question import Question, as_choices


class Engine:
    """A bundle on an engine, ready to answer. One engine may be asked from several threads at once."""

    def __init__(
        self, manifest: Manifest, encoder: PromptEncoder, backend: Backend, *, notes: Sequence[str] = ()
    ) -> None:
        """Assemble an engine from its parts; `Engine.load` makes one from a folder."""
        self.manifest = manifest
        self.notes = tuple(notes)
        self._encoder = encoder
        self._backend: Backend | None = backend
        self._name, self._precision = backend.name, backend.precision
        self._letters = tuple(manifest.letters)

    @classmethod
    def load(
        cls,
        bundle: str | Path | None = None,
        *,
        engine: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
        answers: Answers = Answers.MANY,
        progress: Progress | None = None,
    ) -> Self:
        """Load a bundle, check it, and ask its golden questions if it is loaded here for the first time.

        `bundle` is a folder, or a name as `rim-edge bundle list` prints them (a Path is always a folder). None
        means the bundle that `rim-edge ask` uses: RIM_EDGE_BUNDLE, else the chosen default, else the demo.
        `threads` None means one per physical core; `answers` ONE starts sooner and answers slower (`Answers`);
        `progress` is called with a line of text before each slow step.
        Raises BundleNotFoundError and InputError (what was asked for), BundleVersionError, BundleCorruptError
        and SelfTestError (what was found), MissingExtraError and EngineUnavailableError (this machine).
        """
        folder = resolve_bundle(bundle).path
        loaded = load_parts(folder, engine, precision, EngineOptions(threads, answers), progress)
        return cls(loaded.manifest, loaded.encoder, loaded.backend, notes=loaded.notes)

    @property
    def name(self) -> str:
        """The engine that runs, as in EngineName."""
        return self._name

    @property
    def precision(self) -> Precision:
        """The number format it runs in."""
        return self._precision

    @property
    def bundle(self) -> str:
        """The bundle's name."""
        return self.manifest.name

    def ask(
        self,
        question: str,
        choices: Iterable[str] | Mapping[str, str] | None = None,
        *,
        blocks: int | None = None,
    ) -> Answer:
        """Answer one question; `blocks` None means all memory blocks the bundle has.

        `choices` are texts in order, or `{"A": text, "B": text, …}`. With choices, nothing in the question's
        text is taken for an option; without, options are read from its end.
        Raises QuestionError (empty, too long, bad options or blocks), EngineFailedError, EngineClosedError.
        """
        listed = as_choices(() if choices is None else choices)
        (answer,) = self.ask_many([Question(question, listed)], blocks=blocks)
        return answer

    def ask_many(self, questions: Iterable[Question], *, blocks: int | None = None) -> list[Answer]:
        """Answer questions in batches of similar length; the answers come in the questions' order.

        A row's answer does not depend on the others. Raises what `ask` raises; QuestionError before anything is
        answered.
        """
        backend = self._backend
        if backend is None:
            raise EngineClosedError
        contract = self.manifest.prompt
        count = contract.check_blocks(contract.blocks if blocks is None else blocks)
        start = time.perf_counter()
        asked = _listed(questions)
        rows = [self._prepare(question, number, len(asked)) for number, question in enumerate(asked, 1)]
        prepared = time.perf_counter() - start
        answers: dict[int, Answer] = {}
        lengths = [len(row.ids) + self.manifest.prompt.fixed_tokens for row in rows]
        for batch in similar_lengths(lengths, backend.batch_tokens):
            start = time.perf_counter()
            logits = _run(backend, [rows[index].ids for index in batch], count)
            share = (time.perf_counter() - start) / len(batch) + prepared / len(rows)
            for index, row_logits in zip(batch, logits, strict=True):
                answers[index] = self._answer(rows[index], row_logits, count, 1000 * share)
        return [answers[index] for index in range(len(rows))]

    def check(self, question: Question) -> None:
        """Raise the QuestionError that asking this question would raise, without asking it."""
        self._encode(question)

    def close(self) -> None:
        """Free the model; questions that other threads are asking are answered first."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._backend else ", closed"
        return f"<Engine {self.bundle} on {self.name} at {self.precision}{state}>"

    def _prepare(self, question: Question, number: int, of: int) -> _Row:
        try:
            return self._encode(question)
        except QuestionError as error:
            if of > 1:
                error.add_note(f"This is question {number} of {of}.")
            raise

    def _encode(self, question: Question) -> _Row:
        ids, offered = self._encoder.encode(question.rendered()), question.offered()
        unknown = [letter for letter in offered if letter not in self._letters]
        if unknown:
            raise QuestionError(
                f"The question offers the letters {', '.join(offered)}, this model answers "
                f"{self._letters[0]} to {self._letters[-1]}. Offer fewer options."
            )
        return _Row(ids, offered)

    def _answer(self, row: _Row, logits: Floats, blocks: int, latency_ms: float) -> Answer:
        if not np.isfinite(logits).all():
            raise BrokenLogitsError(self.name, self.precision)
        letter, probabilities = read_letters(logits, self._letters, tuple(row.offered))
        return Answer(
            letter=letter,
            choice=row.offered.get(letter),
            probabilities=probabilities,
            letter_logits={name: float(value) for name, value in zip(self._letters, logits, strict=True)},
            confidence=probabilities[letter],
            lead=lead_of(probabilities),
            blocks=blocks,
            engine=self.name,
            precision=self.precision,
            bundle=self.bundle,
            latency_ms=latency_ms,
        )


@dataclass(frozen=True)
class _Row:
    ids: tuple[int, ...]
    offered: Mapping[str, str]


def _listed(questions: Iterable[Question]) -> tuple[Question, ...]:
    """Return questions as a tuple; an iterator is read once. Raises QuestionError for what holds other things."""
    expected = "Expected an iterable of Question, such as [Question(text, choices)]; one text is for ask."
    if isinstance(questions, str | Question) or not isinstance(questions, Iterable):
        raise QuestionError(f"The questions are one {type(questions).__name__}. {expected}")
    asked = tuple(questions)
    for number, question in enumerate(asked, 1):
        if not isinstance(question, Question):
            raise QuestionError(f"Question {number} is a {type(question).__name__}. {expected}")
    return asked


def _run(backend: Backend, rows: Sequence[tuple[int, ...]], blocks: int) -> Floats:
    """Pad the rows on the right and run them: float32 [batch, letters]."""
    lengths = np.array([len(row) for row in rows], np.int64)
    ids = np.zeros((len(rows), int(lengths.max())), np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    return backend.run(ids, lengths, np.full(len(rows), blocks, np.int64))
