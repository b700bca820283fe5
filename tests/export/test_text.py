"""`--answers text`: a decoder beside the single pass, over the same weights, proven by what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import rim_export
import torch
from rim_export.certification.decoder_session import DecoderSession
from rim_export.certification.text import TOKENS, compare_text, text_prompts
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CertificateError, CheckpointError
from rim_export.questions import CERTIFICATE_SET
from rim_export.settings import AnswerForm
from rim_export.size import estimated_bytes
from rim_runtime import Engine, InputError
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Head, Precision, Variant
from rim_runtime.bundle.roles import Ability, Role, abilities, decoding, graph_of
from rim_runtime.loading.load import load_encoder

from tests.export.conftest import TinyCheckpoint
from tests.export.families import FAMILIES


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
    file = tmp_path_factory.mktemp("questions") / "few.jsonl"
    file.write_text("".join(lines[:48]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    return FAMILIES["qwen2"].build(tmp_path_factory.mktemp("checkpoint") / "qwen2")


Export = Callable[..., Path]


@pytest.fixture(scope="module")
def exported(checkpoint: TinyCheckpoint, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export the checkpoint by precision and form of answers, each once."""
    known: dict[tuple[Any, ...], Path] = {}

    def export(precision: Precision, answers: AnswerForm) -> Path:
        if (precision, answers) not in known:
            folder = tmp_path_factory.mktemp("bundles") / "bundle"
            options = rim_export.ExportOptions(precision=precision, max_flips=1.0, certify=few, answers=answers)
            known[precision, answers] = rim_export.export(checkpoint.path, folder, options).bundle
        return known[precision, answers]

    return export


def external(path: Path) -> dict[str, ir.ExternalTensor]:
    initializers = ir.load(path).graph.initializers
    return {
        name: value.const_value
        for name, value in initializers.items()
        if isinstance(value.const_value, ir.ExternalTensor)
    }


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8, Precision.INT4])
def test_one_file_of_weights_serves_both_graphs(exported: Export, precision: Precision) -> None:
    letters = Bundle.load(exported(precision, AnswerForm.LETTERS))
    both = Bundle.load(exported(precision, AnswerForm.TEXT))
    both.verify()
    assert abilities(letters.manifest) == (Ability.LETTER,)
    assert abilities(both.manifest) == (Ability.LETTER, Ability.TEXT)
    assert "graphs" not in letters.manifest.optional
    assert "text" not in letters.certificate()
    for single in both.manifest.variants:
        decoder = graph_of(both.manifest, single, Role.DECODER)
        assert decoder is not None
        assert (both.path / single.graph).read_bytes() == (letters.path / single.graph).read_bytes()
        before, after = ((one.path / single.data).read_bytes() for one in (letters, both))
        assert after.startswith(before), "the single pass reads what it read before"
        ours, theirs = external(both.path / single.graph), external(both.path / decoder.graph)
        assert {name for name in theirs if name in ours} >= {name for name in ours if "backbone" in name}
        assert all(theirs[name].offset == ours[name].offset for name in theirs if name in ours)
        assert all(name.startswith(("lm_head", "stream_turn")) for name in theirs if name not in ours)
        own = sum(tensor.nbytes for name, tensor in theirs.items() if name not in ours)
        assert len(after) - len(before) <= own + 4096 * sum(name not in ours for name in theirs)
    with Engine.load(both.path, engine="ort-cpu") as engine:
        assert engine.ask("Which?", ["this", "that"]).letter


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_the_decoder_writes_what_transformers_writes(
    checkpoint: TinyCheckpoint, exported: Export, few: Path, precision: Precision
) -> None:
    bundle = Bundle.load(exported(precision, AnswerForm.TEXT))
    (variant,) = bundle.manifest.variants
    decoder = graph_of(bundle.manifest, variant, Role.DECODER)
    assert decoder is not None
    questions = [json.loads(line)["question"] for line in few.read_text(encoding="utf-8").splitlines()]
    prompt = text_prompts(load_encoder(bundle), questions)[0]
    assert prompt == load_encoder(bundle).compose(questions[0]).ids
    ids = torch.tensor([prompt])
    own = checkpoint.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False, eos_token_id=-1
    )[0, len(prompt) :].tolist()
    tokens, _ = DecoderSession(bundle.path / decoder.graph, precision).greedy(prompt, TOKENS)
    same = sum(a == b for a, b in zip(tokens, own, strict=True))
    assert same == TOKENS if precision is Precision.FP32 else same >= 1
    (certified,) = bundle.certificate()["text"]
    assert certified["tokens"] == 8 * TOKENS
    assert certified["changed"] - certified["near_ties"] <= (
        0 if precision is Precision.FP32 else 0.25 * 8 * TOKENS
    )


def test_the_manifest_says_how_to_decode(checkpoint: TinyCheckpoint, exported: Export) -> None:
    found = decoding(Bundle.load(exported(Precision.FP32, AnswerForm.TEXT)).manifest)
    assert found is not None
    tokenizer = checkpoint.tokenizer
    assert found.stop_ids == (tokenizer.eos_token_id,)
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    assert set(found.control_ids) == special | {tokenizer.eos_token_id}
    assert (found.layers, found.key_value_heads, found.head_size, found.width) == (2, 2, 8, 32)


def test_a_decoder_that_writes_something_else_is_refused(
    checkpoint: TinyCheckpoint, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that sees the last two tokens alone."""
    run = DecoderSession.run

    def blind(self: DecoderSession, ids: Any, past: Any = (), **given: Any) -> Any:
        seen = np.ones((1, (past[0].shape[2] if past else 0) + ids.shape[1]), np.int64)
        seen[:, :-2] = 0
        return run(self, ids, past, **given | {"mask": seen})

    monkeypatch.setattr(DecoderSession, "run", blind)
    options = rim_export.ExportOptions(
        precision=Precision.FP32, max_flips=1.0, certify=few, answers=AnswerForm.TEXT
    )
    with pytest.raises(CertificateError, match=r"The decoder of fp32 writes .* of 96 tokens otherwise"):
        rim_export.export(checkpoint.path, tmp_path / "bundle", options)
    assert not list(tmp_path.iterdir()), "nothing was written"


def test_near_ties_are_counted_apart() -> None:
    """The third is changed to a token that the checkpoint held for unlikely, with its two best nearly tied."""
    theirs = np.array([[0.0, 1.0, 1.05], [0.0, 1.0, 3.0], [0.0, 1.0, 1.05], [2.0, 0.0, 0.0]], np.float32)
    ours = np.array([[0.0, 1.1, 1.05], [0.0, 4.0, 3.0], [2.0, 1.0, 1.05], [2.0, 0.0, 0.0]], np.float32)
    int8 = Variant("int8", Precision.INT8, Head.FULL, "graph", "data")
    found = compare_text(int8, 1, ours, theirs)
    assert (found.tokens, found.changed, found.near_ties) == (4, 3, 1)
    assert found.mean_kl > 0
    assert compare_text(int8, 1, theirs, theirs).mean_kl == 0
    ours[0, 0] = np.nan
    with pytest.raises(CertificateError, match="not finite"):
        compare_text(int8, 1, ours, theirs)


def test_the_output_projection_counts_as_disk_space(checkpoint: TinyCheckpoint) -> None:
    opened = Checkpoint.open(checkpoint.path)
    letters = rim_export.ExportOptions(precision=Precision.FP32)
    text = rim_export.ExportOptions(precision=Precision.FP32, answers=AnswerForm.TEXT)
    more = estimated_bytes(opened, text) - estimated_bytes(opened, letters)
    assert more == 4 * opened.sizes.vocabulary * opened.sizes.width


def test_text_is_for_cpus() -> None:
    with pytest.raises(InputError, match="decoders are for CPUs alone"):
        rim_export.ExportOptions(precision=Precision.FP16, answers=AnswerForm.TEXT)
    rim_export.ExportOptions(answers=AnswerForm.TEXT)


def test_a_model_whose_answers_never_end_is_refused(few: Path, tmp_path: Path) -> None:
    tiny = FAMILIES["qwen2"].build(tmp_path / "endless")
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        path = tiny.path / name
        body = json.loads(path.read_text(encoding="utf-8"))
        body |= {key: None for key in ("eos_token_id", "eos_token") if key in body}
        path.write_text(json.dumps(body), encoding="utf-8")
    options = rim_export.ExportOptions(precision=Precision.FP32, certify=few, answers=AnswerForm.TEXT)
    with pytest.raises(CheckpointError, match="names no token that ends an answer"):
        rim_export.export(tiny.path, tmp_path / "bundle", options)
