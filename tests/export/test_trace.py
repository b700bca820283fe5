"""`--trace`: a graph over the variant's own weights that reads out behind every block, proven."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import rim_export
from rim_export.certification.trace import Readout, TraceProof, compare_trace
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CertificateError
from rim_export.progress import silent
from rim_export.questions import CERTIFICATE_SET
from rim_export.settings import AnswerForm
from rim_export.weights.model_weights import ModelWeights
from rim_runtime import Engine, InputError
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Head, Precision, Variant
from rim_runtime.bundle.roles import Ability, Role, abilities, graph_of, role_graphs
from rim_runtime.engines.traces.ort_cpu import OrtCpuTrace
from rim_runtime.engines.traces.readouts import Readouts
from rim_runtime.loading.load import load_encoder

from tests.export.conftest import TinyCheckpoint
from tests.export.families import FAMILIES


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    return FAMILIES["qwen2"].build(tmp_path_factory.mktemp("checkpoint") / "qwen2")


@pytest.fixture(scope="module")
def traced(checkpoint: TinyCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in fp32 that answers in letters and in text, and traces both."""
    folder = tmp_path_factory.mktemp("traced")
    lines = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "few.jsonl").write_text("".join(lines[:48]), encoding="utf-8")
    options = rim_export.ExportOptions(
        precision=Precision.FP32,
        max_flips=1.0,
        certify=folder / "few.jsonl",
        answers=AnswerForm.TEXT,
        trace=True,
    )
    report = rim_export.export(checkpoint.path, folder / "bundle", options)
    (certified,) = report.certificate.traces
    assert certified.flips == 9 * (0,)
    assert (certified.changed_tokens, certified.unlike_asking) == (0, 0)
    assert certified.max_logit_error < 1e-4
    assert certified.max_difference_from_asking < 1e-4
    return report.bundle


def test_it_stores_no_weight_twice(traced: Path) -> None:
    manifest = Bundle.load(traced).manifest
    assert abilities(manifest) == (Ability.LETTER, Ability.TEXT, Ability.TRACE)
    trace = graph_of(manifest, manifest.variants[0], Role.TRACE)
    assert trace is not None
    others = {manifest.variants[0].graph, *(one.graph for one in role_graphs(manifest))} - {trace.graph}
    stored = {place for graph in others for place in places(traced / graph)}
    own = places(traced / trace.graph)
    assert len(own) > 10
    assert own <= stored


def places(graph: Path) -> set[tuple[int | None, int | None]]:
    """Return where a graph's weights are in their file; tables of token ids and positions are no weights."""
    values = (value.const_value for value in ir.load(graph).graph.initializers.values())
    stored = [one for one in values if isinstance(one, ir.ExternalTensor)]
    return {(one.offset, one.length) for one in stored if one.dtype is not ir.DataType.INT64}


def test_letters_and_first_tokens_are_those_of_asking(traced: Path, questions: list[str]) -> None:
    with Engine.load(traced) as engine:
        for question in questions[:3]:
            found = engine.trace(question)
            for blocks, answer in enumerate(found.answers):
                asked = engine.ask(question, blocks=blocks)
                assert answer.letter == asked.letter
                assert answer.letter_logits == pytest.approx(asked.letter_logits, abs=1e-4)
                text = engine.generate(question, blocks=blocks, max_tokens=1).result()
                written = text.tokens[0] if text.tokens else found.first_tokens[blocks].token
                assert found.first_tokens[blocks].token == written


def test_a_trace_that_is_shifted_by_a_block_is_refused(
    traced: Path, checkpoint: TinyCheckpoint, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(traced)
    manifest = bundle.manifest
    weights = ModelWeights(Checkpoint.open(checkpoint.path), manifest.letters, Head.LETTERS)
    proof = TraceProof(weights, load_encoder(bundle), questions[:4], False, True, silent)
    (graph,) = (one for one in role_graphs(manifest) if one.role is Role.TRACE)
    assert proof.certify(bundle, manifest.variants[0], graph).unlike_asking == 0
    right = OrtCpuTrace.run

    def shifted(self: OrtCpuTrace, *given: object) -> Readouts:
        found = right(self, *given)  # type: ignore[arg-type]
        return Readouts(np.roll(found.letters, 1, axis=1), found.tokens)

    monkeypatch.setattr(OrtCpuTrace, "run", shifted)
    with pytest.raises(CertificateError, match=r"The trace of fp32 answers \d+ of 36 readouts otherwise"):
        proof.certify(bundle, manifest.variants[0], graph)


def test_comparing() -> None:
    """One question, K = 2: a flip that is a near tie, one that is none, and a letter unlike asking's."""
    theirs = np.array([[[0.0, 0.05, 9.0], [2.0, 0.0, 9.0], [2.0, 0.0, 9.0]]], np.float32)
    ours = np.array([[[0.1, 0.0, 9.0], [0.0, 2.0, 9.0], [2.0, 0.0, 9.0]]], np.float32)
    masks = np.array([[[True, True, False]]])
    int8 = Variant("int8", Precision.INT8, Head.LETTERS, "graph", "data")
    found = compare_trace(int8, masks, Readout(ours), ours, Readout(theirs))
    assert (found.flips, found.near_ties, found.unlike_asking, found.changed_tokens) == ((1, 1, 0), 1, 0, None)
    assert (found.max_logit_error, found.max_difference_from_asking) == (2.0, 0.0)
    assert compare_trace(int8, masks, Readout(ours), theirs, Readout(ours)).unlike_asking == 1
    both = compare_trace(int8, masks, Readout(theirs, ours), theirs, Readout(theirs, theirs))
    assert (both.flips, both.changed_tokens) == ((0, 0, 0), 0), "of all tokens, the third is the likeliest"
    with pytest.raises(CertificateError, match="not finite"):
        compare_trace(int8, masks, Readout(ours * np.float32("nan")), ours, Readout(theirs))


def test_what_has_no_trace() -> None:
    with pytest.raises(InputError, match="traces are for CPUs alone"):
        rim_export.ExportOptions(precision=Precision.FP16, trace=True)
    with pytest.raises(InputError, match="no blocks to trace"):
        rim_export.ExportOptions(blocks=0, trace=True)
