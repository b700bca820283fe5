"""`rim-edge export`: its flags, its refusals, and the whole path from a checkpoint to an answer."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Bundle, Head

from rim_edge.cli.export import export

pytestmark = pytest.mark.usefixtures("one_conversion_a_model")


Run = Callable[..., Any]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint with the demo's tokenizer."""
    import torch
    from rim_export.checkpoint.prompt import RimSettings
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from rim_edge.model.checkpoint import write_checkpoint
    from rim_edge.puzzles.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-rim"
    folder.mkdir()
    tokenizer = build_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    write_checkpoint(folder, Qwen3ForCausalLM(config), tokenizer, RimSettings(blocks=4), torch.bfloat16)
    return folder


@pytest.mark.slow
def test_the_path_from_a_checkpoint_to_an_answer(run: Run, checkpoint: Path, own_home: Path) -> None:
    done = run("export", "--model", str(checkpoint), "--max-flips", "1", "--precision", "fp32", "--json")
    assert done.code == 0, done.err
    body = done.json
    target = own_home / "bundles" / "tiny-rim"
    assert (body["name"], body["path"], body["default"]) == ("tiny-rim", str(target), True)
    assert body["certificate"]["variants"][0]["flips"] == 0
    assert body["answers_here"] == dict.fromkeys(body["answers_here"], "fp32")
    assert "ort-cpu" in body["answers_here"]
    answered = run("ask", "Where am I?", "--json")
    assert (answered.json["bundle"], answered.json["blocks"], answered.err) == ("tiny-rim", 4, "")
    again = run("export", "--model", str(checkpoint))
    assert (again.code, again.out) == (2, "")
    assert f"{target} already exists, expected a new path. To use it: rim-edge bundle use tiny-rim" in again.err


@pytest.mark.slow
def test_text_adds_a_decoder(run: Run, checkpoint: Path, own_home: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "text")
    wanted = ("--max-flips", "1", "--precision", "fp32", "--answers", "text")
    done = run("export", "--model", str(checkpoint), "-o", target, *wanted)
    assert done.code == 0, done.err
    assert "fp32 writes 96 of 96 tokens like the checkpoint" in done.out
    body = run("bundle", "info", target, "--json").json
    assert body["answers"] == ["letter", "text"]
    assert [entry["tokens"] for entry in body["certificate"]["text"]] == [96]
    assert "text, from the same weights" in run("bundle", "info", target).out
    assert run("bundle", "verify", target).code == 0
    refused = run(
        "export", "--model", str(checkpoint), "-o", f"{target}-2", "--engine", "trt", "--answers", "text"
    )
    assert (refused.code, refused.out) == (2, "")
    assert "decoders are for CPUs alone" in refused.err


def test_an_export_elsewhere_leaves_the_default_alone(
    run: Run, demo_bundle: Path, make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rim_export

    asked: dict[str, Any] = {}

    def fake_export(
        model: str, target: Path, options: rim_export.ExportOptions, **_: object
    ) -> rim_export.ExportReport:
        asked.update(model=model, options=options)
        make_bundle(target.name, target.parent)
        certificate = rim_export.Certificate("mine", 4, 1.0, (_compared(),))
        return rim_export.ExportReport(
            target, Bundle.load(target).manifest, certificate, ("assumed the card",), 2.0
        )

    monkeypatch.setattr(rim_export, "check_request", lambda *_: None, raising=False)
    monkeypatch.setattr(rim_export, "export", fake_export, raising=False)
    target = tmp_path / "mine"
    done = run(
        "export",
        "-m",
        "some/model",
        "-o",
        str(target),
        "--max-flips",
        "1",
        "--blocks",
        "2",
        "--head",
        "full",
        "--keep-going",
    )
    assert (done.code, done.err) == (0, "note: assumed the card\n")
    assert asked["model"] == "some/model"
    assert asked["options"] == rim_export.ExportOptions(blocks=2, head=Head.FULL, max_flips=1.0, keep_going=True)
    assert "  fp32 answers 19 of 20 questions like the checkpoint\n" in done.out
    assert "  it changes 0.1 to 24.9 % of the letters (95 % interval)\n" in done.out
    assert "  kept wider (2 parts): the embedding table and layers.3.mlp.down_proj in fp32\n" in done.out
    assert "  right on 80.0 % of 20 with a known answer; the checkpoint on 90.0 %\n" in done.out
    assert "  What answers here: fp32 on " in done.out
    assert f'Ask it: rim-edge ask "…" --bundle {target}' in done.out
    assert run("ask", "Where am I?", "--json").json["bundle"] == "demo-bundle"


def _compared() -> Any:
    from rim_export import VariantCertificate

    values = {"variant": "fp32", "precision": "fp32", "n": 20, "flips": 1, "agreement": 0.95, "labelled": 20}
    rest = {field: 0.0 for field in VariantCertificate.__dataclass_fields__ if field not in values}
    more = {"accuracy": 0.8, "reference_accuracy": 0.9, "flips_interval": (0.001, 0.249)}
    more["widened"] = {"embedding table": "fp32", "layers.3.mlp.down_proj": "fp32"}
    return VariantCertificate(**(rest | values | more))


def test_the_options_defaults_are_those_of_the_dataclass() -> None:
    from rim_export import ExportOptions

    shown = {name: parameter.default for name, parameter in inspect.signature(export).parameters.items()}
    for field in dataclasses.fields(ExportOptions):
        # Left out: the folder's name, the engine's precision, and the engine's targets, here called --target.
        if field.name not in ("name", "precision", "targets"):
            assert shown[field.name] == field.default, field.name


ROWS = 20 * ['{"question": "Where am I?", "options": ["here", "there"]}\n']
BAD_CALIBRATION: dict[str, tuple[str, str]] = {
    "empty": ("", "is empty, expected rows"),
    "one row": (ROWS[0], "1 are left, expected at least 8"),
    "wrong fields": ('{"text": "Why?"}\n', "line 1: 'question' is None"),
}


@pytest.mark.parametrize("case", BAD_CALIBRATION)
def test_calibration_files_that_cannot_be_used(run: Run, checkpoint: Path, tmp_path: Path, case: str) -> None:
    rows, message = BAD_CALIBRATION[case]
    file, target = tmp_path / "rows.jsonl", tmp_path / "made" / "bundle"
    file.write_text(rows)
    command = ("export", "--model", str(checkpoint), "-o", str(target), "--precision", "fp8")
    failed = run(*command, "--calibration", str(file))
    assert (failed.code, failed.out) == (2, "")
    assert "rows.jsonl" in failed.err
    assert message in failed.err
    assert not target.parent.exists()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "int4", "fp8"])
def test_every_precision_of_the_demo_answers(run: Run, tmp_path: Path, precision: str) -> None:
    """Held to the default share of flips, on its portable graph (int4: on both)."""
    import json

    from rim_edge.demo.make import CHECKPOINT, HERE
    from rim_edge.puzzles.fresh import fresh_puzzles

    for name, count, seed in (("certify", 600, 31), ("calibration", 12, 32)):
        puzzles = fresh_puzzles(count, seed)
        rows = [json.dumps(puzzle.row()) for puzzle in puzzles]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    target = tmp_path / "made"
    command = ["export", "--model", str(HERE / CHECKPOINT), "-o", str(target), "--precision", precision]
    measured = ["--calibration", str(tmp_path / "calibration.jsonl")] if precision == "fp8" else []
    done = run(*command, "--certify", str(tmp_path / "certify.jsonl"), *measured, "--json")
    assert done.code == 0, done.err
    variants = done.json["certificate"]["variants"]
    names = {"int4": ["int4-ort", "int4"]}.get(precision, [precision])
    assert [variant["variant"] for variant in variants] == names
    assert all(variant["flips"] <= 0.02 * variant["n"] for variant in variants)
    for puzzle in fresh_puzzles(3, 33):
        answered = run("ask", puzzle.question, "--bundle", str(target), "--json")
        assert (answered.json["letter"], answered.json["precision"]) == (puzzle.answer, precision)


BAD: dict[str, tuple[list[str], int, str]] = {
    "no such folder": (["--model", "/nowhere/at/all"], 2, "/nowhere/at/all"),
    "no such engine": (["--engine", "abacus"], 2, "--engine is 'abacus', expected one of: auto"),
    "no such precision": (["--precision", "int3"], 2, "--precision is 'int3', expected one of: fp32, "),
    "no such activations": (["--precision", "fp8", "--activations", "no"], 2, "expected one of: tensor, row"),
    "no such ranges": (["--precision", "fp8", "--ranges", "no"], 2, "expected one of: max, percentile, mse"),
    "no such dialect": (["--dialect", "latin"], 2, "--dialect is 'latin', expected one of: portable, ort"),
    "block size": (["--precision", "int4", "--block-size", "48"], 2, "'48', expected one of: 32, 128"),
    "smooth fp8": (["--precision", "fp8", "--smooth"], 2, "smooth was chosen, but the precision is fp8"),
    "calibrated fp32": (
        ["--calibration", "x.jsonl", "--precision", "fp32"],
        2,
        "fp32 export measures no activations",
    ),
    "rounded fp32": (["--precision", "fp32", "--rounding", "nearest"], 2, "rounding nearest was chosen, but fp32"),
    "no such head": (["--head", "tail"], 2, "--head is 'tail', expected one of: letters, full"),
    "blocks": (["--blocks", "-1"], 2, "--blocks"),
    "flips": (["--max-flips", "7"], 2, "--max-flips"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(run: Run, case: str, own_home: Path) -> None:
    arguments, code, message = BAD[case]
    failed = run("export", *arguments)
    assert (failed.code, failed.out) == (code, "")
    assert message in failed.err
    assert not own_home.exists()


def test_a_folder_that_is_no_checkpoint(run: Run, tmp_path: Path, own_home: Path) -> None:
    failed = run("export", "--model", str(tmp_path))
    assert failed.code == 2
    assert "config.json" in failed.err
    assert not own_home.exists()


def test_the_default_model_that_is_not_here_says_how_to_get_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    failed = run("export")
    assert (failed.code, failed.out) == (2, "")
    assert "NDIJayant/OpenMed-qwen3-1.7b-RIM" in failed.err


@pytest.mark.parametrize(
    ("blocked", "arguments", "message"),
    [
        (
            "torch",
            ["export"],
            'Exporting needs what is not installed here: torch. Run: pip install "rim-edge[export]"',
        ),
        ("onnxruntime", ["export"], 'pip install "rim-edge[cpu]"'),
        ("onnxruntime", ["ask", "Why?", "--engine", "ort-cpu"], 'pip install "rim-edge[cpu]"'),
        ("torch", ["train", "-o", "x"], 'pip install "rim-edge[train]"'),
    ],
)
def test_a_missing_extra_exits_4_with_the_command(
    blocked: str, arguments: list[str], message: str, tiny_bundle: Path
) -> None:
    code = f"import sys; sys.modules[{blocked!r}] = None; from rim_edge.cli import main; main({arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RIM_EDGE_BUNDLE": str(tiny_bundle)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_names_the_real_default_model(run: Run) -> None:
    import rim_export

    assert rim_export.DEFAULT_MODEL in run("export", "--help").out
