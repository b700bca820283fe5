"""An engine without a model, a bundle or ONNX Runtime, for the tests of programs that embed one.

engine = fake_engine(FakeBackend([0, 0, 5, 0, 0, 0, 0, 0, 0, 0]))   # always answers C
assert show_answer(engine, "Which one?", ["x", "y", "z"]) == "z"
"""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from rim_runtime.backends.fake import FakeBackend
from rim_runtime.engine import Engine
from rim_runtime.manifest import Head, Limits, Manifest, Precision, Source, Variant
from rim_runtime.options import LETTERS
from rim_runtime.prompt import PromptContract, PromptEncoder


def byte_tokenizer() -> Tokenizer:
    """Return a tokenizer with one token a byte: ids 0 to 255, complete and tiny."""
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


def fake_engine(backend: FakeBackend | None = None) -> Engine:
    """Return an engine on a FakeBackend; give one to choose its answers and to see what was asked."""
    manifest = fake_manifest()
    encoder = PromptEncoder(manifest.prompt, byte_tokenizer(), manifest.limits.question_tokens)
    return Engine(manifest, encoder, backend or FakeBackend())
