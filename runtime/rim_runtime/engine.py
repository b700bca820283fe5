"""The runtime's public interface: load a bundle, ask it, close it.

with Engine.load() as engine:  # the bundle that `rim-edge ask` uses; or a name, a folder, a .zip file
    answer = engine.ask("Which vitamin deficiency causes scurvy?", ["Vitamin A", "Vitamin C"])
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from rim_runtime.answer import Answer, lead_of, read_letters
from rim_runtime.bundle.manifest import Manifest, Precision
from rim_runtime.bundle.names import resolve_bundle
from rim_runtime.engines.awaiting import in_thread
from rim_runtime.engines.backend import Answers, Backend, EngineOptions, Floats, run_rows
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.lifetime import LOADS, Lifetime
from rim_runtime.engines.shapes import similar_lengths
from rim_runtime.errors import BrokenLogitsError, EngineFailedError, InputError, QuestionError
from rim_runtime.generate.sampling import LIKELIEST, Sampling
from rim_runtime.generate.stream import TextStream
from rim_runtime.loading.load import load_parts
from rim_runtime.machine.log import tell
from rim_runtime.progress import OnProgress
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.question import Question, as_choices

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from rim_runtime.engines.decoders.late import LateDecoder
    from rim_runtime.generate.author import Author
    from rim_runtime.generate.order import Order
    from rim_runtime.generate.text import Text
    from rim_runtime.loading.decoder import OpenDecoder


class Engine:
    """A bundle on an engine, ready to answer. One engine may be asked from several threads at once."""

    def __init__(
        self,
        manifest: Manifest,
        encoder: PromptEncoder,
        backend: Backend,
        *,
        notes: Sequence[str] = (),
        open_decoder: OpenDecoder | None = None,
    ) -> None:
        """Assemble an engine from its parts; `Engine.load` makes one from a folder."""
        self.manifest = manifest
        self.notes = tuple(notes)
        self._encoder = encoder
        self._backend = backend
        self._decoder = None if open_decoder is None else _late(backend, open_decoder)
        self._lifetime = Lifetime(self._decoder or backend)
        self._name, self._precision = backend.name, backend.precision
        self._letters = tuple(manifest.letters)

    @classmethod
    def load(
        cls,
        bundle: str | Path | Traversable | None = None,
        *,
        engine: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
        answers: Answers = Answers.MANY,
        progress: OnProgress | None = None,
        cancel: Cancellation | None = None,
    ) -> Self:
        """Load a bundle, check it, and ask its golden questions if it is loaded here for the first time.

        `bundle` is a folder, a .zip file, a name as `rim-edge bundle list` prints them (a Path is never a name),
        or a resource of a package (`importlib.resources.files`), which may be either. None means the bundle that
        `rim-edge ask` uses: RIM_EDGE_BUNDLE, else the chosen default, else the demo.
        `threads` None means one per physical core; `answers` ONE starts sooner and answers slower (`Answers`);
        `progress` is called before each slow step and while it lasts; `cancel` gives the load up.
        Raises BundleNotFoundError and InputError (what was asked for), BundleVersionError, BundleCorruptError
        and SelfTestError (what was found), MissingExtraError and EngineUnavailableError (this machine),
        StorageError (there is no room to unpack it), and CancelledError.
        """
        use = EngineOptions(threads, answers, cancel)
        start = time.perf_counter()
        with LOADS.run():
            loaded = load_parts(_place(bundle), engine, precision, use, progress)
        tell(
            "loaded %s on %s at %s in %.2f s",
            loaded.manifest.name,
            loaded.backend.name,
            loaded.backend.precision,
            time.perf_counter() - start,
        )
        for text in loaded.notes:
            tell("%s", text)
        return cls(
            loaded.manifest,
            loaded.encoder,
            loaded.backend,
            notes=loaded.notes,
            open_decoder=loaded.open_decoder,
        )

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
        cancel: Cancellation | None = None,
    ) -> Answer:
        """Answer one question; `blocks` None means all memory blocks the bundle has.

        `choices` are texts in order, or `{"A": text, "B": text, …}`. With choices, nothing in the question's
        text is taken for an option, and `()` says that there are none; None: options are read from its end.
        `cancel` gives the question up.
        Raises QuestionError (empty, too long, bad options or blocks), EngineFailedError, EngineClosedError and
        CancelledError.
        """
        listed = None if choices is None else as_choices(choices)
        (answer,) = self.ask_many([Question(question, listed)], blocks=blocks, cancel=cancel)
        return answer

    async def ask_async(
        self,
        question: str,
        choices: Iterable[str] | Mapping[str, str] | None = None,
        *,
        blocks: int | None = None,
    ) -> Answer:
        """Answer one question in a thread of the event loop's executor; the loop goes on meanwhile.

        A task that is cancelled, as by `asyncio.timeout`, gives the question up and ends when it has ended.
        Raises what `ask` raises, and the CancelledError of asyncio.
        """
        return await in_thread(lambda cancel: self.ask(question, choices, blocks=blocks, cancel=cancel))

    def ask_many(
        self, questions: Iterable[Question], *, blocks: int | None = None, cancel: Cancellation | None = None
    ) -> list[Answer]:
        """Answer questions in batches of similar length; the answers come in the questions' order.

        A row's answer does not depend on the others. Raises what `ask` raises; QuestionError before anything is
        answered. An error costs the answers before it; `ask_iter` has given those.
        """
        answers: dict[int, Answer] = {}
        with self._lifetime.run():
            asked = self._prepare_all(questions, blocks)
            try:
                answers.update(self._answer_all(asked, cancel))
            except EngineFailedError as error:
                if len(asked.rows) > 1:
                    error.add_note(f"{len(answers)} of {len(asked.rows)} questions were answered before it.")
                raise
        return [answers[number] for number in range(len(asked.rows))]

    def ask_iter(
        self, questions: Iterable[Question], *, blocks: int | None = None, cancel: Cancellation | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Give each answer as soon as its batch is done, with its question's place, from 0; the shortest first.

        Between two answers the engine may be closed; the next one then raises EngineClosedError. Raises what
        `ask` raises; QuestionError at once, before anything is answered.
        """
        with self._lifetime.run():
            asked = self._prepare_all(questions, blocks)
        return self._answer_all(asked, cancel)

    def generate(
        self,
        question: str | Question,
        *,
        blocks: int | None = None,
        max_tokens: int | None = None,
        stop: str | Iterable[str] = (),
        sampling: Sampling = LIKELIEST,
        cancel: Cancellation | None = None,
    ) -> TextStream:
        """Answer a question in words: iterate over the pieces as they come, or take the whole by `result()`.

        The text ends at the model's own end, at a `stop` text (which is left out), or after `max_tokens` (None:
        256, or what the model has positions for). `sampling` draws tokens; by default the likeliest is taken. The
        first text of an engine opens its decoder, which runs on ort-cpu beside what reads letters.
        Raises at once: InputError (the bundle answers with letters alone; bad values), QuestionError (as `ask`, or
        the text has no room), EngineUnavailableError, MissingExtraError, BundleNotFoundError, BundleCorruptError
        and SelfTestError (the decoder cannot be opened). The iteration raises EngineFailedError,
        EngineClosedError and CancelledError, and leaves the engine usable.
        """
        start = time.perf_counter()
        order = self._order(question, blocks, max_tokens, stop, sampling)
        prepared_s = time.perf_counter() - start
        return TextStream(self._author(cancel), order, cancel, prepared_s)

    def sample(
        self,
        question: str | Question,
        count: int,
        *,
        blocks: int | None = None,
        max_tokens: int | None = None,
        stop: str | Iterable[str] = (),
        sampling: Sampling = LIKELIEST,
        cancel: Cancellation | None = None,
    ) -> list[Text]:
        """Answer a question in words `count` times: the prompt is read once, the texts are written together.

        Each draws by itself, and the same seed gives the same texts whatever `count` is, but for what rounding
        changes. Raises what `generate` and its iteration raise.
        """
        from rim_runtime.generate.order import as_count
        from rim_runtime.generate.samples import write_samples

        order = self._order(question, blocks, max_tokens, stop, sampling)
        return write_samples(self._author(cancel), order, as_count(count), cancel)

    def _order(
        self,
        question: str | Question,
        blocks: int | None,
        max_tokens: int | None,
        stop: str | Iterable[str],
        sampling: Sampling,
    ) -> Order:
        from rim_runtime.generate.order import no_decoder, order_text

        if self._decoder is None:
            raise no_decoder(self.bundle)
        contract = self.manifest.prompt
        count = contract.check_blocks(contract.blocks if blocks is None else blocks)
        asked = question if isinstance(question, Question) else Question(question)
        prompt = self._encoder.compose_text(asked.rendered(), count)
        room = self.manifest.limits.model_positions - len(prompt)
        return order_text(prompt, count, room, max_tokens, stop, sampling)

    def _author(self, cancel: Cancellation | None) -> Author:
        from rim_runtime.bundle.roles import decoding
        from rim_runtime.generate.author import Author

        found = decoding(self.manifest)
        assert self._decoder is not None
        assert found is not None, "check_roles refuses a decoder without it"
        with self._lifetime.run():
            return Author(self._decoder.get(cancel), found, self._encoder, self.bundle, self._lifetime.run)

    def warm_up(self, tokens: int | None = None) -> None:
        """Answer a question of so many tokens (None: of the longest) for nothing, so that the first is not slow.

        A GPU prepares each length when it first comes; a CPU takes its memory. Raises what `ask` raises.
        """
        limit = self.manifest.limits.question_tokens
        if tokens is not None and not 1 <= tokens <= limit:
            raise QuestionError(f"Got {tokens} tokens to warm up with, expected 1 to {limit:,}.")
        with self._lifetime.run():
            run_rows(self._backend, [[0] * (tokens or limit)], self.manifest.prompt.blocks)

    def _prepare_all(self, questions: Iterable[Question], blocks: int | None) -> _Asked:
        contract = self.manifest.prompt
        count = contract.check_blocks(contract.blocks if blocks is None else blocks)
        start = time.perf_counter()
        asked = _listed(questions)
        rows = [self._prepare(question, number, len(asked)) for number, question in enumerate(asked, 1)]
        share = (time.perf_counter() - start) / max(1, len(rows))
        return _Asked(rows, count, share)

    def _answer_all(self, asked: _Asked, cancel: Cancellation | None) -> Iterator[tuple[int, Answer]]:
        """Answer batch by batch; each is a run of its own, or a part of one that is under way."""
        rows = asked.rows
        lengths = [len(row.ids) + self.manifest.prompt.fixed_tokens for row in rows]
        for batch in similar_lengths(lengths, self._backend.batch_tokens):
            start = time.perf_counter()
            with self._lifetime.run():
                logits = run_rows(self._backend, [rows[index].ids for index in batch], asked.blocks, cancel)
            seconds = (time.perf_counter() - start) / len(batch) + asked.prepared_s
            for index, row_logits in zip(batch, logits, strict=True):
                yield index, self._answer(rows[index], row_logits, asked.blocks, 1000 * seconds)

    def check(self, question: Question) -> None:
        """Raise the QuestionError that asking this question would raise, without asking it."""
        self._encode(question)

    def close(self) -> None:
        """Free the model, after all questions that other threads are asking are answered; refuse further ones."""
        self._lifetime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = ", closed" if self._lifetime.closed else ""
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


def _late(backend: Backend, open_decoder: OpenDecoder) -> LateDecoder:
    # imported late, as all of this that letters do not need: programs start faster without
    from rim_runtime.engines.decoders.late import LateDecoder

    return LateDecoder(backend, open_decoder)


def _place(bundle: str | Path | Traversable | None) -> Path | Traversable:
    """Return where the bundle lies that was asked for. Raises InputError."""
    if bundle is None or isinstance(bundle, str | Path):
        return resolve_bundle(bundle).path
    if not hasattr(bundle, "joinpath"):
        raise InputError(f"The bundle is a {type(bundle).__name__}, expected a name, a path or a resource.")
    return bundle


@dataclass(frozen=True)
class _Row:
    ids: tuple[int, ...]
    offered: Mapping[str, str]


@dataclass(frozen=True)
class _Asked:
    rows: Sequence[_Row]
    blocks: int
    prepared_s: float
    """Seconds a row that it took to read them."""


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
