"""`rim-edge bundle triton`: what it writes runs as its configuration says, and Triton's own schema takes that.

There is no Triton server here. What stands for it is `triton_stand_in.py`, in an environment with Triton's client:
it reads the configuration by Triton's own schema, checks requests by it, and runs the graph as the backend does.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rim_runtime import Engine, Question
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Compute, Head, Precision
from rim_runtime.engines.names import EngineName
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.loading.load import load_encoder

from rim_edge.deployment.triton import TritonOptions, config_text
from rim_edge.puzzles.fresh import fresh_puzzles
from tests.environments import environment, own_python
from tests.places import DEMO_FOLDER, REPOSITORY

Run = Callable[..., Any]
PINS = ("tritonclient[grpc]==2.73.0", "tokenizers==0.23.3", "onnxruntime==1.32.0")
STAND_IN = REPOSITORY / "tests" / "cli" / "bundling" / "triton_stand_in.py"
QUESTIONS = [Question(puzzle.question) for puzzle in fresh_puzzles(12, 7)]


@pytest.fixture
def model(run: Run, tmp_path: Path) -> Path:
    done = run("bundle", "triton", str(DEMO_FOLDER), str(tmp_path / "models"))
    assert done.code == 0, done.err
    assert f"tritonserver --model-repository={tmp_path / 'models'}" in done.out
    return tmp_path / "models" / "demo"


def test_what_is_written(model: Path) -> None:
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert files == {
        "config.pbtxt",
        "1/model.onnx",
        "1/model.int8.onnx.data",
        "manifest.json",
        "tokenizer.json",
        "LICENSE",
        "MODEL_CARD.md",
    }
    for name, ours in (("1/model.onnx", "model.int8.onnx"), ("manifest.json", "manifest.json")):
        assert (model / name).read_bytes() == (DEMO_FOLDER / ours).read_bytes()


def test_a_padded_batch_answers_as_the_engine_does(model: Path) -> None:
    """Questions of different lengths, padded to one: as Triton joins requests of the same shape."""
    encoder = load_encoder(Bundle.load(DEMO_FOLDER))
    rows = [encoder.encode(question.rendered()) for question in QUESTIONS]
    ids = np.zeros((len(rows), 128), np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    session = import_onnxruntime().InferenceSession(
        str(model / "1" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    lengths = np.array([len(row) for row in rows], np.int64)
    feed = {"question_ids": ids, "question_length": lengths, "blocks": np.full(len(rows), 4, np.int64)}
    (logits,) = session.run(["letter_logits"], feed)
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answers = engine.ask_many(QUESTIONS)
    for row, answer in zip(logits, answers, strict=True):
        np.testing.assert_allclose(row, list(answer.letter_logits.values()), atol=1e-4)


def test_a_repository_takes_several_models(run: Run, model: Path, tiny_bundle: Path) -> None:
    done = run("bundle", "triton", str(tiny_bundle), str(model.parent), "--max-batch", "3", "--json")
    assert done.json["path"] == str(model.parent / "tiny")
    assert (done.json["variant"], done.json["engine"], done.json["max_batch"]) == ("fp32", "ort-cpu", 3)
    assert "max_batch_size: 3\n" in (model.parent / "tiny" / "config.pbtxt").read_text()
    again = run("bundle", "triton", str(tiny_bundle), str(model.parent), "--json")
    assert (again.code, again.json["error"]["kind"]) == (2, "target-exists")


def test_a_zip_is_written_alike(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "tiny")
    for place, target in ((packed, "a"), (str(tiny_bundle), "b")):
        assert run("bundle", "triton", place, str(tmp_path / target)).code == 0
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert files
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_cannot_be_written(run: Run, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """It says so, and leaves nothing behind."""
    damaged, full = make_bundle("damaged"), make_bundle("full", head=Head.FULL)
    fp8 = make_bundle("narrow", precisions=("nvfp4",))
    (damaged / "LICENSE").write_text("unkn0wn\n")
    for arguments, code, message in (
        ((damaged,), 3, "LICENSE was altered"),
        ((full,), 2, "It has fp32 (full)"),
        ((make_bundle("wide"), "--engine", "trt"), 2, "on trt, expected letters in portable fp8"),
        ((make_bundle("cpu"), "--precision", "int8"), 2, "nothing in int8"),
        ((fp8,), 2, "but for TensorRT not fp8 or nvfp4"),
    ):
        target = tmp_path / "models"
        failed = run("bundle", "triton", str(arguments[0]), str(target), *arguments[1:])
        assert (failed.code, failed.out) == (code, "")
        assert message in failed.err
        assert not target.exists() or not list(target.iterdir())
    inside = run("bundle", "triton", str(damaged), str(damaged / "models"))
    assert "lies inside the bundle" in inside.err


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        (EngineName.ORT_CPU, ["KIND_CPU"]),
        (EngineName.OPENVINO, ["KIND_CPU", 'cpu_execution_accelerator : [ { name: "openvino" } ]']),
        (EngineName.ORT_CUDA, ["KIND_GPU"]),
        (EngineName.TRT, ["KIND_GPU", 'value: "BF16"', "question_ids:8x512,question_length:8,blocks:8"]),
    ],
)
def test_what_is_said_of_devices(engine: EngineName, says: list[str], tiny_bundle: Path) -> None:
    text = configuration(tiny_bundle, engine)
    assert all(one in text for one in says)
    assert ("execution_accelerators" in text) == (engine in (EngineName.OPENVINO, EngineName.TRT))


def configuration(folder: Path, engine: EngineName) -> str:
    """Return the configuration of a bundle's first variant, as if it were in bf16, for an engine."""
    manifest = Bundle.load(folder).manifest
    variant = replace(manifest.variants[0], precision=Precision.BF16, compute=Compute.BF16)
    return config_text(manifest, variant, engine, TritonOptions(max_batch=8).max_batch)


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with Triton's client."""
    return own_python("tritonclient", PINS)


def with_runtime() -> dict[str, str]:
    """Our runtime beside the packages of that environment."""
    return environment() | {"PYTHONPATH": str(REPOSITORY / "runtime")}


def asked(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env=with_runtime(), timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [one for one in EngineName if one is not EngineName.AUTO])
def test_tritons_own_schema_takes_the_configuration(
    python: Path, engine: EngineName, tiny_bundle: Path, tmp_path: Path
) -> None:
    """ModelConfig of Triton's protocol, as its client package has it, read from text by protobuf."""
    (tmp_path / "config.pbtxt").write_text(configuration(tiny_bundle, engine), encoding="utf-8")
    command = [str(python), str(STAND_IN), "--show", str(tmp_path / "config.pbtxt")]
    done = asked(command)
    assert done.returncode == 0, done.stderr
    config = json.loads(done.stdout)
    assert (config["backend"], config["max_batch_size"]) == ("onnxruntime", 8)
    assert "dynamic_batching" in config
    gpu = engine in (EngineName.ORT_CUDA, EngineName.TRT)
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_GPU" if gpu else "KIND_CPU"}]
    (tmp_path / "config.pbtxt").write_text("max_batch: 8\n")
    assert 'no field named "max_batch"' in asked(command).stderr


@pytest.fixture
def server(python: Path, model: Path) -> Iterator[str]:
    """The address of what stands for Triton, with the demo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [str(python), str(STAND_IN), str(model), address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_runtime()) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield address
        finally:
            running.terminate()


@pytest.mark.slow
def test_the_example_client_asks(python: Path, model: Path, server: str) -> None:
    script = REPOSITORY / "examples" / "triton" / "ask.py"
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        for question, choices in ((QUESTIONS[0].text, ()), ("Which one is it?", ("this", "that"))):
            answer = engine.ask(question, choices or None)
            command = [str(python), str(script), server, str(model), question, *choices]
            done = asked(command)
            assert done.returncode == 0, done.stderr
            assert re.match(rf"{answer.letter}\b", done.stdout)
            assert answer.choice is None or done.stdout == f"{answer.letter}: {answer.choice}\n"
