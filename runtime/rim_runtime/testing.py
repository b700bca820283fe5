"""An engine without a model, a bundle or ONNX Runtime, for the tests of programs that embed one.

engine = fake_engine(FakeBackend([0, 0, 5, 0, 0, 0, 0, 0, 0, 0]))   # always answers C
assert show_answer(engine, "Which one?", ["x", "y", "z"]) == "z"
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from rim_runtime.bundle.manifest import Dialect, Head, Limits, Manifest, Precision, Source, Variant
from rim_runtime.engine import Engine
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.errors import EngineClosedError
from rim_runtime.machine.json_files import parse_json
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.prompt.options import LETTERS

if TYPE_CHECKING:
    from rim_runtime.engines.decoders.decoder import DecoderState, Step

_STOP = 256
"""The token with which a FakeDecoder ends its text; the others are bytes."""


def byte_tokenizer() -> Tokenizer:
    """Return a tokenizer with one token per byte, ids 0 to 255."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={text: number for number, text in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def fake_manifest(*, letters: int = len(LETTERS), question_tokens: int = 512) -> Manifest:
    """Return the manifest of a bundle that does not exist: eight memory blocks, one fp32 variant."""
    prompt = PromptContract(
        head=(256,),
        question_open="user\n",
        question_close="",
        strip=True,
        tail=(257,),
        block=(258, 259, 259, 260),
        blocks=8,
        prefix=(84, 104, 101),
        prefix_text="The",
    )
    limit = question_tokens + prompt.fixed_tokens
    return Manifest(
        name="fake",
        source=Source(model="fake", revision=None, architecture="fake", weights_sha256=""),
        tools={},
        prompt=prompt,
        letters={letter: number for number, letter in enumerate(LETTERS[:letters])},
        limits=Limits(question_tokens=question_tokens, max_length=limit, model_positions=limit),
        variants=(Variant("fp32", Precision.FP32, Head.LETTERS, "model.fp32.onnx", "model.fp32.onnx.data"),),
        files={},
    )


@dataclass(frozen=True)
class FakeCall:
    """One question as it reached the backend."""

    question_ids: tuple[int, ...]
    """The question segment, without padding."""
    blocks: int
    """Memory blocks asked for."""
    batch: int
    """Rows of the batch it came in."""


class FakeBackend:
    """Answers with given logits, or with numbers that depend only on the question's ids and blocks."""

    name = "fake"
    batch_tokens = 512
    precision = Precision.FP32
    fingerprint = "fake"

    def __init__(self, logits: Sequence[float] | None = None, *, letters: int = len(LETTERS)) -> None:
        """Answer every question with `logits`, or else with a checksum of the question."""
        self.calls: list[FakeCall] = []
        self.closed = False
        self._logits = None if logits is None else np.asarray(logits, np.float32)
        self._letters = letters
        self._lock = threading.Lock()

    def run(
        self, question_ids: Ints, question_length: Ints, blocks: Ints, cancel: Cancellation | None = None
    ) -> Floats:
        """Record the rows and return float32 [batch, letters]."""
        check(cancel)
        if self.closed:
            raise EngineClosedError
        rows = zip(question_ids.tolist(), question_length.tolist(), blocks.tolist(), strict=True)
        calls = [FakeCall(tuple(ids[:length]), count, len(question_ids)) for ids, length, count in rows]
        with self._lock:
            self.calls.extend(calls)
        return np.stack([self._row(call) for call in calls])

    def close(self) -> None:
        """Refuse further runs."""
        self.closed = True

    def _row(self, call: FakeCall) -> Floats:
        if self._logits is not None:
            return self._logits
        seed = zlib.crc32(repr((call.question_ids, call.blocks)).encode())
        return np.random.default_rng(seed).normal(0, 3, self._letters).astype(np.float32)


class FakeState:
    """What a FakeDecoder has read."""

    def __init__(self, rows: int, length: int, capacity: int, written: int = 0) -> None:
        self.rows, self.length, self.capacity = rows, length, capacity
        self.written = written
        """Tokens of the text that were written before the next step."""


class FakeDecoder:
    """Writes a given text, a byte a token, and ends it, whatever the question is."""

    name = "fake"
    precision = Precision.FP32
    fingerprint = "fake"

    def __init__(self, text: str | Sequence[int]) -> None:
        """Take the text, or the ids of its tokens (`byte_tokenizer`)."""
        self.prompts: list[tuple[int, ...]] = []
        """Token ids of each prompt."""
        self.closed = False
        self._tokens = (*(byte_tokenizer().encode(text).ids if isinstance(text, str) else text), _STOP)

    def start(
        self, ids: Sequence[int], capacity: int, cancel: Cancellation | None = None
    ) -> tuple[FakeState, Step]:
        """Record the prompt, and begin the text."""
        self.prompts.append(tuple(ids))
        state = FakeState(1, len(ids), capacity)
        return state, self._say(state, cancel)

    def step(
        self,
        state: DecoderState,
        ids: Ints,
        vectors: Floats | None = None,
        cancel: Cancellation | None = None,
    ) -> Step:
        """Go on with the text."""
        assert isinstance(state, FakeState)
        state.written -= int((ids < 0).any())  # a latent step writes nothing
        step = self._say(state, cancel)
        state.length += 1
        return step

    def project(self, states: Floats) -> Floats:
        """Return them as they are."""
        return states

    def fork(self, state: DecoderState, rows: int) -> FakeState:
        """Return a state of several rows."""
        assert isinstance(state, FakeState)
        return FakeState(rows, state.length, state.capacity, state.written)

    def trim(self, state: DecoderState, length: int) -> None:
        """Go back in the text."""
        assert isinstance(state, FakeState)
        state.written -= state.length - length
        state.length = length

    def close(self) -> None:
        """Refuse further runs."""
        self.closed = True

    def _say(self, state: FakeState, cancel: Cancellation | None) -> Step:
        check(cancel)
        if self.closed:
            raise EngineClosedError
        from rim_runtime.engines.decoders.decoder import Step

        logits = np.zeros((state.rows, _STOP + 1), np.float32)
        logits[:, self._tokens[min(state.written, len(self._tokens) - 1)]] = 50
        state.written += 1
        return Step(logits, np.zeros((state.rows, 1), np.float32))


def _writing_manifest() -> Manifest:
    from rim_runtime.bundle.roles import Cache, Decoding, Role, RoleGraph, optional_entries

    graph = RoleGraph(Role.DECODER, "fp32", "model.fp32.decoder.onnx", Dialect.ORT)
    entries = optional_entries((graph,), Decoding(1, 1, 1, 1, _STOP + 1, (_STOP,), Cache.APPENDED))
    return replace(fake_manifest(), optional=parse_json(json.dumps(entries)))  # as a file's


def fake_engine(backend: FakeBackend | None = None, decoder: FakeDecoder | None = None) -> Engine:
    """Return an engine on a FakeBackend; pass your own to choose the answers and to see what was asked.

    With a FakeDecoder it also writes text.
    """
    manifest = fake_manifest() if decoder is None else _writing_manifest()
    encoder = PromptEncoder(manifest.prompt, byte_tokenizer(), manifest.limits.question_tokens)
    opening = None if decoder is None else lambda cancel: decoder
    return Engine(manifest, encoder, backend or FakeBackend(), open_decoder=opening)
