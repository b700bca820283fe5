"""The runtime's public interface: load a bundle, ask it, close it.

with Engine.load() as engine:  # the bundle that `rim-edge ask` uses; or a name, a folder, a .zip file
    answer = engine.ask("Which vitamin deficiency causes scurvy?", ["Vitamin A", "Vitamin C"])
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from rim_runtime.answer import Answer
from rim_runtime.bundle.manifest import Manifest, Precision
from rim_runtime.bundle.names import resolve_bundle
from rim_runtime.engines.awaiting import in_thread
from rim_runtime.engines.backend import Answers, Backend, EngineOptions, run_rows
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.late import Late
from rim_runtime.engines.lifetime import LOADS, Lifetime
from rim_runtime.errors import EngineFailedError, InputError, QuestionError
from rim_runtime.generate.async_stream import AsyncTextStream
from rim_runtime.generate.sampling import LIKELIEST, Sampling
from rim_runtime.generate.stream import TextStream
from rim_runtime.letters import LetterReader
from rim_runtime.loading.load import load_parts
from rim_runtime.machine.log import tell
from rim_runtime.prepared import prepare_all, prompt_tokens
from rim_runtime.progress import OnProgress
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.question import Question, as_choices

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from rim_runtime.engines.decoders.decoder import Decoder
    from rim_runtime.engines.traces.readouts import TraceEngine
    from rim_runtime.generate.generator import TextGenerator
    from rim_runtime.generate.readout import GeneratedAnswer
    from rim_runtime.generate.scoring import ScoredToken
    from rim_runtime.generate.text import Text
    from rim_runtime.loading.decoder import OpenDecoder
    from rim_runtime.loading.trace import OpenTrace
    from rim_runtime.tracing.trace import Trace
    from rim_runtime.tracing.tracer import Tracer


class Engine:
    """A bundle on an engine, ready to answer. One engine may be asked from several threads at once."""

    def __init__(
        self,
        manifest: Manifest,
        encoder: PromptEncoder,
        backend: Backend,
        *,
        notes: Sequence[str] = (),
        certificate: Mapping[str, Any] | None = None,
        open_decoder: OpenDecoder | None = None,
        open_trace: OpenTrace | None = None,
    ) -> None:
        """Assemble an engine from its parts; `Engine.load` makes one from a folder."""
        self.manifest = manifest
        self.notes = tuple(notes)
        self.certificate = {} if certificate is None else certificate
        """How each variant of the bundle compares with the checkpoint (docs/certificate.md); empty without one."""
        self._encoder = encoder
        self._backend = backend
        decoder = None if open_decoder is None else Late(backend, open_decoder)
        trace = None if open_trace is None else Late(decoder or backend, open_trace)
        self._lifetime = Lifetime(trace or decoder or backend)
        self._reader = LetterReader(manifest, backend, self._lifetime.run)
        self._generator = None if decoder is None else _generator(manifest, encoder, decoder, self._lifetime)
        self._tracer = None if trace is None else _tracer(manifest, encoder, trace, self._lifetime)
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
            certificate=loaded.certificate,
            open_decoder=loaded.open_decoder,
            open_trace=loaded.open_trace,
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
            asked = prepare_all(questions, self._encoder, self._letters, blocks)
            try:
                answers.update(self._reader.answers(asked, cancel))
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
            asked = prepare_all(questions, self._encoder, self._letters, blocks)
        return self._reader.answers(asked, cancel)

    def generate(
        self,
        question: str | Question,
        *,
        blocks: int | None = None,
        latent_steps: int | None = None,
        max_tokens: int | None = None,
        stop: str | Iterable[str] = (),
        sampling: Sampling = LIKELIEST,
        cancel: Cancellation | None = None,
    ) -> TextStream:
        """Answer a question in words: iterate over the pieces as they come, or take the whole by `result()`.

        The text ends at the model's own end, at a `stop` text, at the brace that closes the box which the answer
        prefix opens (both are left out), or after `max_tokens` (None: 256, or what the model has positions for).
        `sampling` draws tokens; by default the likeliest is taken. `latent_steps` (None: as many as the model was
        trained with) is for bundles that take such steps before the text. The first text of an engine opens its
        decoder, which runs on ort-cpu beside what reads letters.
        Raises at once: InputError (the bundle answers with letters alone; bad values), QuestionError (as `ask`, or
        the text has no room), EngineUnavailableError, MissingExtraError, BundleNotFoundError, BundleCorruptError
        and SelfTestError (the decoder cannot be opened). The iteration raises EngineFailedError,
        EngineClosedError and CancelledError, and leaves the engine usable.
        """
        generator = self._texts()
        order = generator.order(question, blocks, max_tokens, stop, sampling, latent_steps)
        return TextStream(generator.author(cancel), order, cancel)

    def generate_async(
        self,
        question: str | Question,
        *,
        blocks: int | None = None,
        latent_steps: int | None = None,
        max_tokens: int | None = None,
        stop: str | Iterable[str] = (),
        sampling: Sampling = LIKELIEST,
    ) -> AsyncTextStream:
        """Answer a question in words, awaited: `async for` gives the pieces, `await … .result()` the whole.

        A task that is cancelled meanwhile gives the text up. The iteration raises all that `generate` and its
        iteration raise.
        """
        begin = partial(
            self.generate,
            question,
            blocks=blocks,
            latent_steps=latent_steps,
            max_tokens=max_tokens,
            stop=stop,
            sampling=sampling,
        )
        return AsyncTextStream(lambda cancel: begin(cancel=cancel))

    def sample(  # noqa: PLR0913 (those of generate, and how many)
        self,
        question: str | Question,
        count: int,
        *,
        blocks: int | None = None,
        latent_steps: int | None = None,
        max_tokens: int | None = None,
        stop: str | Iterable[str] = (),
        sampling: Sampling = LIKELIEST,
        cancel: Cancellation | None = None,
    ) -> list[Text]:
        """Answer a question in words `count` times, up to 1,000: the prompt is read once, all come together.

        Each draws by itself, and the same seed gives the same texts whatever `count` is, but for what rounding
        changes. Raises what `generate` and its iteration raise.
        """
        from rim_runtime.generate.order import as_count
        from rim_runtime.generate.samples import write_samples

        generator, number = self._texts(), as_count(count)
        order = generator.order(question, blocks, max_tokens, stop, sampling, latent_steps)
        return write_samples(generator.author(cancel), order, number, cancel)

    def score(
        self, text: str | Sequence[int], *, more: int = 0, top: int = 0, cancel: Cancellation | None = None
    ) -> tuple[ScoredToken, ...]:
        """Return how probable each token of a text is, behind those before it: no prompt, no memory blocks.

        `text` may be token ids; `more` of the likeliest are written behind it, and `top` likeliest tokens are told
        of each place. It costs what writing the text would. Raises what `generate` and its iteration raise.
        """
        from rim_runtime.generate.scoring import score

        author = self._texts().author(cancel)
        return score(author, text, self.manifest.limits.model_positions, more=more, top=top, cancel=cancel)

    def generate_letter(
        self,
        question: str,
        choices: Iterable[str] | Mapping[str, str] | None = None,
        *,
        blocks: int | None = None,
        cancel: Cancellation | None = None,
    ) -> GeneratedAnswer:
        """Answer one question by the first letter of a generated text, as the published model's example does.

        Up to 8 tokens are decoded, the likeliest each, behind the same prompt that `ask` reads in one pass. Raises
        what `ask` and `generate` raise.
        """
        listed = None if choices is None else as_choices(choices)
        asked = prepare_all([Question(question, listed)], self._encoder, self._letters, blocks)
        return self._texts().letter(asked, cancel)

    def trace(
        self,
        question: str,
        choices: Iterable[str] | Mapping[str, str] | None = None,
        *,
        cancel: Cancellation | None = None,
    ) -> Trace:
        """Answer one question behind 0, 1, …, K memory blocks, in one pass that costs little more than `ask`.

        Where the bundle writes text, the trace also says what a text would begin with. The first trace of an
        engine opens its graph, which runs on ort-cpu beside what reads letters.
        Raises InputError (the bundle has no trace), what `ask` raises, and what opening a graph does (`generate`).
        """
        from rim_runtime.tracing.tracer import no_trace

        if self._tracer is None:
            raise no_trace(self.manifest)
        listed = None if choices is None else as_choices(choices)
        asked = prepare_all([Question(question, listed)], self._encoder, self._letters, None)
        return self._tracer.trace(asked, cancel)

    def _texts(self) -> TextGenerator:
        from rim_runtime.generate.order import no_decoder

        if self._generator is None:
            raise no_decoder(self.bundle)
        return self._generator

    def warm_up(self, tokens: int | None = None) -> None:
        """Answer a question of so many tokens (None: of the longest) for nothing, so that the first is not slow.

        A GPU prepares each length when it first comes; a CPU takes its memory. Raises what `ask` raises.
        """
        limit = self.manifest.limits.question_tokens
        if tokens is not None and not (isinstance(tokens, SupportsIndex) and 1 <= tokens <= limit):
            raise QuestionError(f"Got {tokens} tokens to warm up with, expected 1 to {limit:,}.")
        with self._lifetime.run():
            run_rows(self._backend, [[0] * (tokens or limit)], self.manifest.prompt.blocks)

    def check(self, question: Question, blocks: int | None = None) -> int:
        """Raise the QuestionError that asking this would raise, and ask nothing; return the prompt's tokens."""
        return prompt_tokens(question, self._encoder, self._letters, blocks)

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


def _generator(
    manifest: Manifest, encoder: PromptEncoder, decoder: Late[Decoder], lifetime: Lifetime
) -> TextGenerator:
    # imported late, as all of this that letters do not need: programs start faster without
    from rim_runtime.generate.generator import TextGenerator

    return TextGenerator(manifest, encoder, decoder, lifetime.run)


def _tracer(manifest: Manifest, encoder: PromptEncoder, trace: Late[TraceEngine], lifetime: Lifetime) -> Tracer:
    from rim_runtime.tracing.tracer import Tracer

    return Tracer(manifest, encoder, trace, lifetime.run)


def _place(bundle: str | Path | Traversable | None) -> Path | Traversable:
    """Return where the bundle lies that was asked for. Raises InputError."""
    if bundle is None or isinstance(bundle, str | Path):
        return resolve_bundle(bundle).path
    if not hasattr(bundle, "joinpath"):
        raise InputError(f"The bundle is a {type(bundle).__name__}, expected a name, a path or a resource.")
    return bundle
