"""Engines on machines with GPUs: which variant each gets, what `auto` steps over, and what is said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from rim_runtime import (
    Bundle,
    BundleCorruptError,
    Engine,
    EngineFailedError,
    EngineName,
    EngineUnavailableError,
    MissingExtraError,
    RimError,
    SelfTestError,
)
from rim_runtime.bundle.manifest import Compute, Dialect, Manifest, Precision, Variant
from rim_runtime.engines import registry
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.names import GPU_ENGINES
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.engines.support import SUPPORT, choose_variant
from rim_runtime.machine import gpu
from rim_runtime.machine.gpu import Gpu, Gpus

MakeBundle = Callable[..., Path]
GPU = Gpus("580.95", (13, 0), (Gpu(0, "NVIDIA RTX 4090", (8, 9), 24_000_000_000),), None)


class Pretended(OrtCpuBackend):
    """The tiny graph under another engine's name; it may answer wrongly, or break."""

    def __init__(self, name: EngineName, bundle: Bundle, variant: Variant, machine: Machine) -> None:
        super().__init__(bundle, variant)
        self.name, self.fingerprint, self.variant = name, f"pretended {name}", variant
        self.notes = (f"{name} runs {variant.name}.",) if name in GPU_ENGINES else ()
        self._machine = machine

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        if trouble := self._machine.running.get(self.name):
            raise trouble
        logits = super().run(question_ids, question_length, blocks)
        return -logits if self.name in self._machine.wrong else logits


class Machine:
    """What is installed, what cannot run, and what was opened."""

    def __init__(self) -> None:
        self.installed = {EngineName.TRT, EngineName.ORT_CUDA, EngineName.ORT_CPU}
        self.lacks: dict[EngineName, RimError] = {}
        self.opening: dict[EngineName, RimError] = {}
        self.running: dict[str, RimError] = {}
        self.wrong: set[str] = set()
        self.opened: list[tuple[str, str]] = []

    def kind(self, name: EngineName) -> registry._Entry:
        def require() -> str:
            if name not in self.installed:
                raise MissingExtraError(name, f'pip install "rim-edge[{name}]"', f"The engine {name}")
            if name in self.lacks:
                raise self.lacks[name]
            return f"{name} 1 on a GPU"

        def open_one(bundle: Bundle, variant: Variant, *_: object) -> Pretended:
            if name in self.opening:
                raise self.opening[name]
            self.opened.append((name, variant.name))
            return Pretended(name, bundle, variant, self)

        return registry._Entry(lambda: name in self.installed, require, open_one)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU and every GPU engine."""
    made = Machine()
    names = [name for name in EngineName if name is not EngineName.AUTO]
    monkeypatch.setattr(registry, "_ENTRIES", {name: made.kind(name) for name in names})
    monkeypatch.setattr(registry, "is_installed", lambda name: name in made.installed)
    monkeypatch.setattr(gpu, "look", lambda: GPU)
    return made


COMPUTES = {"bf16": Compute.BF16, "fp16": Compute.FP16, "fp8": Compute.FP16}


@pytest.fixture
def gpu_bundle(make_bundle: MakeBundle) -> Path:
    """A bundle as `export --engine trt` makes it, and a bf16 variant besides."""
    return with_computes(make_bundle(precisions=("fp8", "bf16", "int8")))


def with_computes(path: Path) -> Path:
    manifest = Bundle.load(path).manifest
    variants = tuple(dataclasses.replace(v, compute=COMPUTES.get(v.name, Compute.FP32)) for v in manifest.variants)
    save(path, dataclasses.replace(manifest, variants=variants))
    return path


def save(path: Path, manifest: Manifest) -> None:
    (path / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")


def load(path: Path, **options: str) -> tuple[str, str, tuple[str, ...]]:
    """Return which engine answered, at which precision, and the notes."""
    with Engine.load(path, **options) as engine:  # type: ignore[arg-type]
        answer = engine.ask("Why?")
        return answer.engine, answer.precision, engine.notes


def test_the_best_is_taken_at_once(gpu_bundle: Path, machine: Machine) -> None:
    assert load(gpu_bundle) == ("trt", "fp8", ("trt runs fp8.",))
    assert machine.opened == [("trt", "fp8")]


def test_each_engine_gets_the_variant_made_for_it(gpu_bundle: Path, machine: Machine) -> None:
    for engine, precision in (("trt", "fp8"), ("ort-cuda", "bf16"), ("ort-cpu", "int8")):
        assert load(gpu_bundle, engine=engine)[:2] == (engine, precision)


def test_it_steps_down_and_says_why_each_time(gpu_bundle: Path, machine: Machine) -> None:
    machine.lacks[EngineName.TRT] = EngineUnavailableError("NVIDIA H200 has compute capability 9.0")
    for _ in range(2):
        name, precision, notes = load(gpu_bundle)
        assert (name, precision) == ("ort-cuda", "bf16")
        assert notes == ("auto stepped over trt: NVIDIA H200 has compute capability 9.0", "ort-cuda runs bf16.")
    machine.opening[EngineName.ORT_CUDA] = EngineUnavailableError("out of memory")
    name, precision, notes = load(gpu_bundle)
    assert (name, precision) == ("ort-cpu", "int8")
    assert [note.partition(":")[0] for note in notes] == ["auto stepped over trt", "auto stepped over ort-cuda"]


def test_a_gpu_that_answers_wrongly_is_stepped_over_and_not_loaded_again(
    gpu_bundle: Path, machine: Machine
) -> None:
    machine.wrong = {"trt", "ort-cuda"}
    for opened in ([("trt", "fp8"), ("ort-cuda", "bf16"), ("ort-cpu", "int8")], [("ort-cpu", "int8")]):
        machine.opened.clear()
        name, _, notes = load(gpu_bundle)
        assert name == "ort-cpu"
        assert "golden questions were answered differently here by trt at fp8" in notes[0]
        assert "by ort-cuda at bf16" in notes[1]
        assert machine.opened == opened
    with pytest.raises(SelfTestError, match="by trt at fp8"):
        load(gpu_bundle, engine="trt")


def test_a_gpu_that_breaks_in_the_self_test(gpu_bundle: Path, machine: Machine) -> None:
    machine.running["trt"] = EngineFailedError("an illegal memory access")
    assert load(gpu_bundle)[0] == "ort-cuda"


def test_a_damaged_variant_is_no_reason_to_step_over(gpu_bundle: Path, machine: Machine) -> None:
    data = gpu_bundle / "model.fp8.onnx.data"
    data.write_bytes(bytes(reversed(data.read_bytes())))
    with pytest.raises(BundleCorruptError, match=r"model\.fp8\.onnx\.data was altered"):
        load(gpu_bundle)
    assert load(gpu_bundle, engine="ort-cpu")[0] == "ort-cpu", "what is not opened is not looked at"


def test_without_the_libraries_a_bundle_made_for_them_is_explained(gpu_bundle: Path, machine: Machine) -> None:
    machine.installed = {EngineName.ORT_CPU}
    name, _, notes = load(gpu_bundle)
    assert name == "ort-cpu"
    assert [note.split(". ")[-1] for note in notes] == [
        'Run: pip install "rim-edge[trt]"',
        'Run: pip install "rim-edge[ort-cuda]"',
    ]


def test_a_bundle_for_cpus_says_nothing_of_engines_that_are_not_installed(
    make_bundle: MakeBundle, machine: Machine
) -> None:
    machine.installed = {EngineName.ORT_CPU}
    assert load(make_bundle(precisions=("int8",))) == ("ort-cpu", "int8", ())


def test_a_gpu_with_its_library_and_nothing_to_run_is_said(
    make_bundle: MakeBundle, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(precisions=("int8",))
    name, _, notes = load(bundle)
    assert name == "ort-cpu"
    assert notes[0].startswith(f"auto stepped over trt: trt cannot run what is in {bundle}: it has int8 in fp32 ")
    assert notes[0].endswith("Export a variant: rim-edge export --engine trt")
    assert notes[1].endswith("Export a variant: rim-edge export --engine ort-cuda")
    monkeypatch.setattr(gpu, "look", lambda: Gpus(None, None, (), "There is no NVIDIA GPU."))
    assert load(bundle) == ("ort-cpu", "int8", ()), "TensorRT-RTX may be here only to build plans"


def test_an_explicit_engine_without_a_variant_names_the_command(make_bundle: MakeBundle, machine: Machine) -> None:
    bundle = make_bundle(precisions=("int8",))
    with pytest.raises(EngineUnavailableError) as caught:
        load(bundle, engine="trt", precision="int8")
    assert str(caught.value).endswith("Export a variant: rim-edge export --engine trt --precision int8")
    machine.lacks[EngineName.TRT] = EngineUnavailableError("The driver is too old.")
    with pytest.raises(EngineUnavailableError, match="The driver is too old"):
        load(bundle, engine="trt")


def test_a_bundle_for_gpus_alone(make_bundle: MakeBundle, machine: Machine) -> None:
    bundle = with_computes(make_bundle(precisions=("bf16",)))
    assert load(bundle)[:2] == ("trt", "bf16")
    machine.opening[EngineName.TRT] = EngineUnavailableError("no plan")
    assert load(bundle)[:2] == ("ort-cuda", "bf16")
    machine.opening[EngineName.ORT_CUDA] = EngineUnavailableError("out of memory")
    with pytest.raises(EngineUnavailableError, match="out of memory"):
        load(bundle)
    machine.lacks = dict(machine.opening)
    with pytest.raises(EngineUnavailableError, match="ort-cpu cannot run what is in") as caught:
        load(bundle)
    assert caught.value.__notes__ == [
        "auto stepped over trt: no plan",
        "auto stepped over ort-cuda: out of memory",
    ]


def test_a_precision_that_is_asked_for_is_what_runs(gpu_bundle: Path, machine: Machine) -> None:
    assert load(gpu_bundle, precision="bf16")[:2] == ("trt", "bf16")
    assert load(gpu_bundle, precision="bf16", engine="ort-cuda")[:2] == ("ort-cuda", "bf16")
    assert load(gpu_bundle, precision="int8")[:2] == ("ort-cpu", "int8"), "its arithmetic is fp32"


def test_a_gpu_gets_what_it_has_the_number_formats_for(
    gpu_bundle: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fp8 came with 8.9, bf16 with 8.0; int8 is in fp32 arithmetic here, so there is nothing for Turing."""
    monkeypatch.setattr(gpu, "look", lambda: Gpus("580", (13, 0), (Gpu(0, "RTX 3090", (8, 6), 0),), None))
    assert load(gpu_bundle)[:2] == ("trt", "bf16")
    with pytest.raises(EngineUnavailableError, match=r"RTX 3090 cannot compute fp8: .* is 8\.6, expected 8\.9"):
        load(gpu_bundle, engine="trt", precision="fp8")
    monkeypatch.setattr(gpu, "look", lambda: Gpus("580", (13, 0), (Gpu(0, "RTX 2080", (7, 5), 0),), None))
    name, precision, notes = load(gpu_bundle)
    assert (name, precision) == ("ort-cpu", "int8")
    assert notes[0].startswith("auto stepped over trt: RTX 2080 cannot compute fp8: its compute capability is 7.5")
    assert notes[1].endswith("Export another variant: rim-edge export --engine ort-cuda --precision fp16")


def test_the_table_of_fits_is_whole() -> None:
    assert set(SUPPORT) == set(EngineName) - {EngineName.AUTO}
    everything = {precision for fit in SUPPORT.values() for precision in (*fit.made_for, *fit.runs)}
    assert everything == set(Precision)


@pytest.mark.parametrize(
    ("engine", "taken"),
    [(EngineName.ORT_CPU, "int8-ort"), (EngineName.OPENVINO, "int8"), (EngineName.TRT, "int8-fp16")],
)
def test_of_one_precision_the_form_that_the_engine_likes(
    tiny_bundle: Path, engine: EngineName, taken: str
) -> None:
    bundle = Bundle.load(tiny_bundle)
    first = bundle.manifest.variants[0]
    forms = {
        "int8": (Compute.FP32, Dialect.PORTABLE),
        "int8-fp16": (Compute.FP16, Dialect.PORTABLE),
        "int8-ort": (Compute.FP32, Dialect.ORT),
    }
    variants = tuple(
        dataclasses.replace(first, name=name, precision=Precision.INT8, compute=compute, dialect=dialect)
        for name, (compute, dialect) in forms.items()
    )
    one = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, variants=variants))
    chosen = choose_variant(one, engine)
    assert chosen is not None
    assert chosen.name == taken
