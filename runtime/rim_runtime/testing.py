"""An engine without a model, a bundle or ONNX Runtime, for the tests of programs that embed one.

engine = fake_engine(FakeBackend([0, 0, 5, 0, 0, 0, 0, 0, 0, 0]))   # always answers C
assert show_answer(engine, "Which one?", ["x", "y", "z"]) == "z"
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from rim_runtime.bundle.manifest import Head, Limits, Manifest, Precision, Source, Variant
from rim_runtime.engine import Engine
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.errors import EngineClosedError
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.prompt.options import LETTERS


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


def fake_engine(backend: FakeBackend | None = None) -> Engine:
    """Return an engine on a FakeBackend; pass your own to choose the answers and to see what was asked."""
    manifest = fake_manifest()
    encoder = PromptEncoder(manifest.prompt, byte_tokenizer(), manifest.limits.question_tokens)
    return Engine(manifest, encoder, backend or FakeBackend())
