"""fp8 and int4 from the checkpoint to the answer: certified, tested at load, close to fp32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import rim_export
from rim_export.errors import CertificateError
from rim_runtime import Bundle, Engine, Question
from rim_runtime.bundle.manifest import Dialect, Precision
from rim_runtime.errors import BundleNotFoundError

from rim_edge.demo.make import CHECKPOINT, HERE
from rim_edge.puzzles.fresh import fresh_puzzles
from tests.export.conftest import TinyCheckpoint

STANDARD = {"", "ai.onnx"}


def export(checkpoint: Path, target: Path, precision: Precision, **options: Any) -> rim_export.ExportReport:
    settings = {"max_flips": 1.0} | options
    return rim_export.export(checkpoint, target, rim_export.ExportOptions(precision=precision, **settings))


def write_puzzles(path: Path, count: int, seed: int) -> Path:
    rows = [puzzle.row() for puzzle in fresh_puzzles(count, seed)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def reports(
    tied_checkpoint: TinyCheckpoint, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, rim_export.ExportReport]:
    """The tiny random checkpoint with the real tokenizer."""
    folder, path = tmp_path_factory.mktemp("precisions"), tied_checkpoint.path
    row = rim_export.Activations.ROW
    return {
        "fp32": export(path, folder / "fp32", Precision.FP32),
        "fp8": export(path, folder / "fp8", Precision.FP8),
        "fp8 by row": export(path, folder / "fp8-row", Precision.FP8, activations=row),
    }


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, rim_export.ExportReport]:
    """The trained demo checkpoint, held to what users are held to."""
    folder = tmp_path_factory.mktemp("demos")
    settings = {"certify": write_puzzles(folder / "certificate.jsonl", 96, 79), "max_flips": 0.02}
    puzzles = write_puzzles(folder / "puzzles.jsonl", 32, 77)
    return {
        "fp8": export(HERE / CHECKPOINT, folder / "fp8", Precision.FP8, calibration=puzzles, **settings),
        "int4": export(HERE / CHECKPOINT, folder / "int4", Precision.INT4, calibration=puzzles, **settings),
    }


def logits(path: Path, questions: list[str], variant: str | None = None) -> np.ndarray:
    with Engine.load(path, precision=variant) as engine:
        answers = engine.ask_many([Question(text) for text in questions])
    return np.array([list(answer.letter_logits.values()) for answer in answers])


@pytest.mark.parametrize(("name", "most"), [("fp8", 0.3), ("fp8 by row", 0.2)])
def test_logits_are_close_to_fp32(
    name: str, most: float, reports: dict[str, rim_export.ExportReport], questions: list[str]
) -> None:
    ours, theirs = (logits(reports[which].bundle, questions[:80]) for which in (name, "fp32"))
    assert 0.005 < np.abs(ours - theirs).mean() / theirs.std() < most  # three random layers of 48 channels


def test_variants_and_their_operators(demos: dict[str, rim_export.ExportReport]) -> None:
    domains = {}
    for report in demos.values():
        for variant in report.manifest.variants:
            graph = onnx.load(report.bundle / variant.graph, load_external_data=False)
            domains[variant.name] = {node.domain for node in graph.graph.node}
            assert {one.domain for one in graph.opset_import} - STANDARD == domains[variant.name] - STANDARD
    assert domains.pop("int4-ort") - STANDARD == {"com.microsoft"}
    assert domains == {name: {""} for name in ("fp8", "int4")}


def test_int4_has_two_certified_forms(demos: dict[str, rim_export.ExportReport]) -> None:
    report = demos["int4"]
    assert [variant.name for variant in report.manifest.variants] == ["int4-ort", "int4"]
    assert [variant.dialect for variant in report.manifest.variants] == [Dialect.ORT, Dialect.PORTABLE]
    assert [variant.variant for variant in report.certificate.variants] == ["int4-ort", "int4"]
    assert all(len(variant.costliest_layers) == 5 for variant in report.certificate.variants)
    bundle = Bundle.load(report.bundle)
    assert bundle.variant(Precision.INT4, (Dialect.ORT, Dialect.PORTABLE)).name == "int4-ort"
    assert bundle.variant(None, (Dialect.PORTABLE,)).name == "int4"
    with pytest.raises(BundleNotFoundError, match="has no fp8 variant, it has int4-ort, int4"):
        bundle.variant(Precision.FP8)
    with Engine.load(report.bundle) as engine:
        assert engine.precision is Precision.INT4
        assert "int4-ort" in engine._backend.fingerprint  # type: ignore[union-attr]


def test_one_form_alone_with_shorter_blocks(demos: dict[str, rim_export.ExportReport], tmp_path: Path) -> None:
    puzzles = write_puzzles(tmp_path / "puzzles.jsonl", 60, 79)
    one = {"dialect": Dialect.PORTABLE, "block_size": 32}
    report = export(HERE / CHECKPOINT, tmp_path / "one", Precision.INT4, certify=puzzles, **one)
    assert [variant.name for variant in report.manifest.variants] == ["int4"]
    with Engine.load(report.bundle) as engine:  # the CPU engine reads the portable form too
        assert engine.ask(next(iter(fresh_puzzles(1, 5))).question).precision is Precision.INT4
    sizes = [one.manifest.files["model.int4.onnx.data"].bytes for one in (report, demos["int4"])]
    assert sizes[0] > sizes[1]


def test_narrow_weights_take_their_bits(demos: dict[str, rim_export.ExportReport]) -> None:
    name = "backbone.layers.0.mlp.up_proj.weight"
    for report, graph, bits in (("fp8", "fp8", 8), ("int4", "int4", 4), ("int4", "int4-ort", 4)):
        model = onnx.load(demos[report].bundle / f"model.{graph}.onnx", load_external_data=False)
        (tensor,) = (one for one in model.graph.initializer if one.name == name)
        entries = {entry.key: entry.value for entry in tensor.external_data}
        count = np.prod(tensor.dims) * (2 if graph == "int4-ort" else 1)  # two values a byte
        assert int(entries["length"]) == count * bits // 8, graph


def test_int4_stores_rows_of_its_table_in_int8(demos: dict[str, rim_export.ExportReport]) -> None:
    for graph in ("int4-ort", "int4"):
        model = onnx.load(demos["int4"].bundle / f"model.{graph}.onnx", load_external_data=False)
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        table, scale = stored["backbone.embed_tokens.weight"], stored["backbone.embed_tokens.weight_scale"]
        assert (table.data_type, len(table.dims)) == (onnx.TensorProto.INT8, 2)
        assert (list(scale.dims), scale.data_type) == ([table.dims[0], 1], onnx.TensorProto.FLOAT)


def test_fp8_says_what_it_was_measured_on(
    reports: dict[str, rim_export.ExportReport], demos: dict[str, rim_export.ExportReport]
) -> None:
    assert "Activations were measured on 64 questions of calibration.jsonl." in reports["fp8"].notes
    assert "Activations were measured on 32 questions of puzzles.jsonl." in demos["fp8"].notes
    measured = "Activations were measured on 64 questions of calibration.jsonl."
    assert measured in reports["fp8 by row"].notes, "its weights are rounded by what they meet"
    assert reports["fp8"].bundle.joinpath("golden.jsonl").read_text().count("\n") >= 4


def test_fp8_by_row_does_not_depend_on_the_batch(
    reports: dict[str, rim_export.ExportReport], questions: list[str]
) -> None:
    some = questions[:24]
    with Engine.load(reports["fp8 by row"].bundle) as engine:
        alone = [engine.ask(text) for text in some]
        mixed = engine.ask_many([Question(text) for text in some])
    for one, other in zip(alone, mixed, strict=True):
        np.testing.assert_allclose(
            list(one.letter_logits.values()), list(other.letter_logits.values()), atol=2e-2, rtol=0
        )


@pytest.mark.parametrize("precision", ["fp8", "int4"])
def test_a_trained_checkpoint_passes_its_certificate(
    precision: str, demos: dict[str, rim_export.ExportReport]
) -> None:
    report = demos[precision]
    for variant in report.certificate.variants:
        assert variant.n == 64
        assert variant.clear_share <= 0.02
        assert variant.accuracy is not None
        assert variant.accuracy >= 0.95
    with Engine.load(report.bundle) as engine:
        right = [engine.ask(puzzle.question).letter == puzzle.answer for puzzle in fresh_puzzles(50, 78)]
    assert np.mean(right) >= 0.9


def test_one_failing_form_refuses_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rim_export.recipes import int4

    honest = int4._unsigned
    monkeypatch.setattr(int4, "_unsigned", lambda read, inputs: honest(read, inputs)[::-1].copy())
    puzzles = write_puzzles(tmp_path / "puzzles.jsonl", 60, 79)
    with pytest.raises(CertificateError, match="The int4 variant answers"):
        export(HERE / CHECKPOINT, tmp_path / "out" / "bundle", Precision.INT4, certify=puzzles, max_flips=0.3)
    assert not list((tmp_path / "out").iterdir())
