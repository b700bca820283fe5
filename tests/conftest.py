"""What all tests share: a home of their own, and tiny hand-written bundles that need no training.

The tiny graph's logits are sines of a weighted sum over the question's ids, so they depend on every token,
on the order, on the number of blocks, and on nothing else (not on padding, not on other rows).
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import platformdirs
import pytest
from onnx import TensorProto, helper, numpy_helper
from rim_runtime import EngineName
from rim_runtime.answer import read_letters
from rim_runtime.bundle.folder import (
    CERTIFICATE,
    GOLDEN,
    TOKENIZER,
    Bundle,
    GoldenQuestion,
    file_entries,
    save_manifest,
)
from rim_runtime.bundle.manifest import Head, Manifest, Precision, Variant
from rim_runtime.engines import registry
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.machine import gpu
from rim_runtime.machine.storage import new_folder
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.prompt.options import offered_options
from rim_runtime.testing import byte_tokenizer, fake_manifest

MakeBundle = Callable[..., Path]
VOCABULARY = 300
GOLDEN_QUESTIONS = (
    "Which one?\nA: this\nB: that\nC: neither",
    "Where are you?",
    "Water boils at\nA: 50\nB: 100",
    "é?",
)


SECONDS = {"real": 30.0, "slow": 12.0}
"""About how long a test takes with such a marker; one without any 0.1 s."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: one that comes last would run on one core alone."""
    files: dict[Path, float] = defaultdict(float)
    for item in items:
        marked = [seconds for name, seconds in SECONDS.items() if item.get_closest_marker(name)]
        files[item.path] += max([0.1, *marked])
    items.sort(key=lambda item: -files[item.path])


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test away from the real bundles, state and cache."""
    home = tmp_path / "rim-home"
    monkeypatch.setenv("RIM_EDGE_HOME", str(home))
    monkeypatch.delenv("RIM_EDGE_BUNDLE", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    return home


@pytest.fixture(params=["platformdirs raises", "platformdirs gives ~", "RIM_EDGE_HOME"])
def no_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A uid without an entry and no HOME: pathlib raises RuntimeError, platformdirs too or returns `~/…`."""

    def nobody(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIM_EDGE_HOME")
    monkeypatch.setattr(Path, "expanduser", lambda path: nobody() if str(path).startswith("~") else path)
    for name in ("user_data_path", "user_cache_path"):
        monkeypatch.setattr(platformdirs, name, nobody)
        if request.param == "platformdirs gives ~":
            monkeypatch.setattr(platformdirs, name, lambda *_, **__: Path("~/.local/share/rim-edge"))
    if request.param == "RIM_EDGE_HOME":
        monkeypatch.setenv("RIM_EDGE_HOME", "~/models")


@pytest.fixture(autouse=True)
def auto_is_ort_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `auto` see ONNX Runtime alone, so that no test's engine depends on how busy the machine is."""
    monkeypatch.setattr(registry, "is_installed", lambda name: name is EngineName.ORT_CPU)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide this machine's GPU: tests bring their own."""
    none = gpu.Gpus(driver=None, cuda=None, gpus=(), trouble="There is no NVIDIA GPU.")
    monkeypatch.setattr(gpu, "look", lambda probe=None: none)


@pytest.fixture
def tiny_bundle(make_bundle: MakeBundle) -> Path:
    """One tiny fp32 bundle with a letter head."""
    return make_bundle()


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Make tiny bundles: `make_bundle("name", precisions=("fp32", "int8"), nan=False, …)`."""

    def make(name: str = "tiny", folder: Path | None = None, **options: object) -> Path:
        target = (folder or tmp_path) / name
        write_tiny_bundle(target, name, **options)  # type: ignore[arg-type]
        return target

    return make


def write_tiny_bundle(
    target: Path,
    name: str,
    *,
    precisions: tuple[str, ...] = ("fp32",),
    head: Head = Head.LETTERS,
    letters: int = 10,
    question_tokens: int = 512,
    nan: bool = False,
    golden_letter: str | None = None,
) -> None:
    """Write a bundle through the functions the exporter uses; `golden_letter` makes the golden answers wrong."""
    manifest = fake_manifest(letters=letters, question_tokens=question_tokens)
    variants = tuple(Variant(p, Precision(p), head, f"model.{p}.onnx", f"model.{p}.onnx.data") for p in precisions)
    with new_folder(target) as folder:
        byte_tokenizer().save(str(folder / TOKENIZER))
        for variant in variants:
            write_tiny_graph(folder, variant, letters, nan=nan)
        (folder / CERTIFICATE).write_text("{}\n", encoding="utf-8")
        (folder / "LICENSE").write_text("unknown\n", encoding="utf-8")
        manifest = dataclasses.replace(manifest, name=name, variants=variants)
        golden = [_ask(folder, manifest, question, golden_letter) for question in GOLDEN_QUESTIONS]
        lines = [question.to_json() for question in golden]
        (folder / GOLDEN).write_text("\n".join(lines) + "\n", encoding="utf-8")
        save_manifest(folder, dataclasses.replace(manifest, files=file_entries(folder)))


def write_tiny_graph(folder: Path, variant: Variant, letters: int, *, nan: bool) -> None:
    """Write `model.<variant>.onnx` with its external data."""
    full = variant.head is Head.FULL
    width = VOCABULARY if full else letters
    output = "logits" if full else "letter_logits"
    frequencies = np.arange(1, width + 1, dtype=np.float32) * (np.float32("nan") if nan else 1)
    nodes = [
        helper.make_node("Shape", ["question_ids"], ["length"], start=1, end=2),
        helper.make_node("Squeeze", ["length"], ["stop"]),
        helper.make_node("Range", ["zero", "stop", "one"], ["positions"]),
        helper.make_node("Unsqueeze", ["question_length", "axis"], ["lengths"]),
        helper.make_node("Less", ["positions", "lengths"], ["inside"]),
        helper.make_node("Cast", ["inside"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["question_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["positions"], ["places"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["ids", "places"], ["mixed"]),
        helper.make_node("Cos", ["mixed"], ["waves"]),
        helper.make_node("Mul", ["waves", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["sums"], keepdims=1),
        helper.make_node("Unsqueeze", ["blocks", "axis"], ["counts"]),
        helper.make_node("Cast", ["counts"], ["steps"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["sums", "steps"], ["phases"]),
        helper.make_node("Mul", ["phases", "frequencies"], ["angles"]),
        helper.make_node("Sin", ["angles"], ["sines"]),
        helper.make_node("Mul", ["sines", "height"], [output]),
    ]
    constants = {
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "axis": np.array([1], np.int64),
        "height": np.array([4], np.float32),
        "frequencies": frequencies,
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("question_ids", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("question_length", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("blocks", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.save_model(
        model,
        str(folder / variant.graph),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=variant.data,
        size_threshold=42,
    )


def _ask(folder: Path, manifest: Manifest, question: str, wrong: str | None) -> GoldenQuestion:
    encoder = PromptEncoder(manifest.prompt, byte_tokenizer(), manifest.limits.question_tokens)
    backend = OrtCpuBackend(Bundle(folder, manifest), manifest.variants[0])
    ids = encoder.encode(question)
    (logits,) = backend.run(np.array([ids]), np.array([len(ids)]), np.array([8]))
    backend.close()
    letters = tuple(manifest.letters)
    letter, probabilities = read_letters(logits, letters, tuple(offered_options(question)))
    everything = read_letters(logits, letters, ())[1] if np.isfinite(logits).all() else probabilities
    log_probabilities = tuple(float(np.log(p)) for p in everything.values())
    return GoldenQuestion(question, 8, wrong or letter, log_probabilities)
