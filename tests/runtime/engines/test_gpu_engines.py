"""What the GPU engines say of machines that we do not have: each lack is named, with the line that mends it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from rim_runtime import Bundle, BundleCorruptError, EngineName, UnavailableError
from rim_runtime.bundle.integrity import check_graph
from rim_runtime.bundle.manifest import FileEntry
from rim_runtime.engines import gpu_engines, registry, trt
from rim_runtime.engines.gpu_engines import open_ort_cuda, open_trt
from rim_runtime.engines.registry import require_engine
from rim_runtime.libraries import tensorrt
from rim_runtime.libraries.tensorrt import Library, TensorRt
from rim_runtime.machine import gpu
from rim_runtime.machine.folders import plans_folder
from rim_runtime.machine.gpu import Gpu, Gpus, GpuTroubleError, look
from rim_runtime.machine.records import Records
from rim_runtime.tensorrt import build as build_module

Answer = TypeVar("Answer")
RTX_4090 = Gpu(0, "NVIDIA GeForce RTX 4090", (8, 9), 25_000_000_000)
H200 = Gpu(0, "NVIDIA H200", (9, 0), 150_000_000_000)
B200 = Gpu(0, "NVIDIA B200", (10, 0), 190_000_000_000)


@dataclass
class FakeProbe:
    """A driver that answers as it is told to; None is no answer."""

    version: str | None = "580.95.05"
    knows: tuple[int, int] | None = (13, 0)
    devices: Sequence[Gpu] | None = (RTX_4090,)
    plugged_in: int | None = 1
    code: int = 999
    """CUDA's error where it does not start."""

    def on_the_bus(self) -> int | None:
        return self.plugged_in

    def driver(self) -> str:
        return self._or_trouble(self.version, "libnvidia-ml.so.1 cannot be loaded")

    def cuda(self) -> tuple[int, int]:
        return self._or_trouble(self.knows, "libcuda.so.1 cannot be loaded")

    def gpus(self) -> Sequence[Gpu]:
        return self._or_trouble(self.devices, f"libcuda.so.1 says error {self.code}", self.code)

    def _or_trouble(self, answer: Answer | None, why: str, code: int | None = None) -> Answer:
        if answer is None:
            raise GpuTroubleError(why, code)
        return answer


PROBES = {
    "a GPU": (FakeProbe(), None),
    "two": (FakeProbe(devices=(RTX_4090, dataclasses.replace(H200, index=1))), None),
    "no GPU": (FakeProbe(None, None, None, 0), "There is no NVIDIA GPU; ort-cpu and openvino need none."),
    "a GPU without driver": (
        FakeProbe(None, None, None, 1),
        "There is an NVIDIA GPU without a driver (libcuda.so.1",
    ),
    "a platform that does not tell": (
        FakeProbe(None, None, None, None),
        "There is no NVIDIA driver (libcuda.so.1",
    ),
    "half a driver": (
        FakeProbe(knows=None),
        "The driver 580.95.05 is here without its CUDA library (libcuda.so.1",
    ),
    "a broken driver": (FakeProbe(devices=None), "CUDA does not start (libcuda.so.1 says error 999). Restart"),
    "no fabric manager": (
        FakeProbe(devices=None, code=802),
        "CUDA does not start (libcuda.so.1 says error 802). Start NVIDIA's fabric manager",
    ),
    "another driver": (
        FakeProbe(devices=None, code=803),
        "CUDA does not start (libcuda.so.1 says error 803). The driver was updated",
    ),
    "forward compatibility": (
        FakeProbe(devices=None, code=804),
        "CUDA does not start (libcuda.so.1 says error 804). Remove CUDA's compatibility libraries",
    ),
    "all hidden": (FakeProbe(devices=()), "The driver shows no GPU. Look at nvidia-smi -L"),
    "no management library": (FakeProbe(version=None), None),
}


@pytest.mark.parametrize("case", PROBES)
def test_looking_for_gpus_never_raises(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    probe, trouble = PROBES[case]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = look(probe)
    assert (found.trouble is None) == (trouble is None)
    assert (found.trouble or "").startswith(trouble or "")
    assert (found.first is None) == (trouble is not None)
    assert found.driver == probe.version


def test_looking_for_this_machines_gpus_never_raises() -> None:
    found = gpu.DriverProbe().on_the_bus()
    assert found is None or found >= 0
    assert look(gpu.DriverProbe()).gpus is not None


@pytest.mark.parametrize("value", ["", "-1", "7"])
def test_a_hidden_gpu_is_not_a_broken_driver(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    told = look(FakeProbe(devices=())).trouble
    assert told is not None
    assert told.startswith(f"The driver shows no GPU: CUDA_VISIBLE_DEVICES is {value!r}. Unset it, or name a GPU")


class Driver:
    """libcuda and libnvidia-ml as ctypes gives them: functions that return a code."""

    def __init__(self, name: str, codes: dict[str, int], *, lacks: str = "") -> None:
        self._name, self.codes, self.lacks, self.calls = name, codes, lacks, Counter[str]()

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name == self.lacks:
            raise AttributeError(name)

        def call(*arguments: object) -> int:
            self.calls[name] += 1
            if name == "cuGetErrorString":
                arguments[1]._obj.value = b"no CUDA-capable device is detected"  # type: ignore[attr-defined]
            if name == "cuDeviceGetCount":
                arguments[0]._obj.value = 1  # type: ignore[attr-defined]
            if name == "cuDriverGetVersion":
                arguments[0]._obj.value = 13_000  # type: ignore[attr-defined]
            return self.codes.get(name, 0)

        return call


def driver(monkeypatch: pytest.MonkeyPatch, lacks: str = "", **codes: int) -> Driver:
    """Let ctypes load a driver whose functions give these codes."""
    monkeypatch.setattr(gpu, "_kept", {})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = Driver("libcuda.so.1", codes, lacks=lacks)
    monkeypatch.setattr(gpu, "_load", lambda library: made)
    return made


@pytest.mark.parametrize("call", ["cuInit", "cuDeviceGetCount"])
def test_cuda_says_by_an_error_that_no_gpu_is_visible(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    driver(monkeypatch, **{call: 100})
    assert (look().trouble or "").startswith("The driver shows no GPU. Look at nvidia-smi -L")


def test_cudas_own_words_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, cuInit=999)
    assert (look().trouble or "").startswith(
        "CUDA does not start (libcuda.so.1 says error 999, no CUDA-capable device is detected). Restart"
    )


def test_the_driver_is_asked_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    made = driver(monkeypatch)
    first = look()
    assert first.first is not None
    assert all(look() == first for _ in range(5))
    assert (made.calls["cuInit"], made.calls["nvmlInit_v2"]) == (1, 1)


def test_a_gpu_that_comes_later_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = driver(monkeypatch, cuInit=802)
    assert look().first is None
    made.codes = {}
    assert look().first is not None


@pytest.mark.parametrize(
    "function", ["nvmlInit_v2", "cuDriverGetVersion", "cuDeviceTotalMem_v2", "cuGetErrorString"]
)
def test_a_driver_without_a_function_never_raises(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    driver(monkeypatch, lacks=function, cuInit=0 if function == "cuDeviceTotalMem_v2" else 999)
    assert look().gpus == ()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make this process believe in a machine: its driver, GPUs, and what is installed."""

    def make(
        found: Gpus,
        *,
        wheels: dict[str, str] | None = None,
        trt: tuple[Library, ...] = (Library.RTX,),
        cuda_python: bool = True,
    ) -> None:
        installed = {"onnxruntime-gpu": "1.31.1"} if wheels is None else wheels
        monkeypatch.setattr(gpu, "look", lambda: found)
        monkeypatch.setattr(gpu_engines, "installed_wheels", lambda: installed)
        monkeypatch.setattr(gpu_engines, "has_cuda_provider", lambda: "onnxruntime-gpu" in installed)
        monkeypatch.setattr(tensorrt, "is_installed", lambda library: library in trt)
        monkeypatch.setattr(tensorrt, "installed_version", lambda library: "9.9" if library in trt else None)
        monkeypatch.setattr(gpu_engines, "_has_cuda_python", lambda: cuda_python)

    return make


Machine = Callable[..., None]


def found_with(*gpus: Gpu, driver: str = "580.95.05", cuda: tuple[int, int] = (13, 0)) -> Gpus:
    return look(FakeProbe(driver, cuda, gpus))


def refused(name: EngineName) -> str:
    with pytest.raises(UnavailableError) as caught:
        require_engine(name)
    return str(caught.value)


def test_where_all_is_here_they_say_what_they_would_run_on(machine: Machine) -> None:
    machine(found_with(RTX_4090))
    where = "on NVIDIA GeForce RTX 4090 (sm_89, driver 580.95.05)"
    assert require_engine(EngineName.ORT_CUDA) == f"onnxruntime-gpu 1.31.1 {where}"
    assert require_engine(EngineName.TRT) == f"tensorrt-rtx 9.9 {where}"


@pytest.mark.parametrize("name", [EngineName.ORT_CUDA, EngineName.TRT])
def test_no_gpu(machine: Machine, name: EngineName) -> None:
    machine(look(FakeProbe(None, None, None, 0)))
    told = "There is no NVIDIA GPU; ort-cpu and openvino need none."
    assert refused(name) == f"{name} finds no GPU to run on. {told}"


@pytest.mark.parametrize("name", [EngineName.ORT_CUDA, EngineName.TRT])
def test_a_driver_too_old_for_cuda_13(machine: Machine, name: EngineName) -> None:
    machine(found_with(RTX_4090, driver="570.86.15", cuda=(12, 8)))
    assert refused(name) == (
        f"{name} needs CUDA 13.0, the driver 570.86.15 knows 12.8. Install NVIDIA's driver 580 or later."
    )


def test_rtx_has_no_code_for_data_centres(machine: Machine) -> None:
    machine(found_with(H200))
    told = refused(EngineName.TRT)
    assert told.startswith("NVIDIA H200 has compute capability 9.0, tensorrt-rtx 9.9 has code for 7.5, 8.0, 8.6, ")
    assert told.endswith('Use ort-cuda, or classic TensorRT: pip install "rim-edge[tensorrt]"')
    assert "on NVIDIA H200 (sm_90" in require_engine(EngineName.ORT_CUDA)


def test_the_classic_library_takes_what_rtx_does_not(machine: Machine) -> None:
    machine(found_with(H200), trt=(Library.RTX, Library.CLASSIC))
    assert require_engine(EngineName.TRT).startswith("tensorrt 9.9 on NVIDIA H200")
    machine(found_with(RTX_4090), trt=(Library.RTX, Library.CLASSIC))
    assert require_engine(EngineName.TRT).startswith("tensorrt-rtx 9.9 on NVIDIA GeForce")


def test_a_gpu_that_nobody_has_code_for(machine: Machine) -> None:
    machine(found_with(B200))
    assert "NVIDIA B200 has compute capability 10.0, onnxruntime-gpu 1.31.1 has code for 7.5" in refused(
        EngineName.ORT_CUDA
    )


def test_of_two_gpus_the_first_is_meant(machine: Machine) -> None:
    machine(found_with(RTX_4090, dataclasses.replace(H200, index=1)))
    assert "RTX 4090" in require_engine(EngineName.TRT)


def test_the_wrong_wheel_and_none_and_both(machine: Machine) -> None:
    machine(found_with(RTX_4090), wheels={"onnxruntime": "1.31.1"})
    assert refused(EngineName.ORT_CUDA) == (
        "The engine ort-cuda needs what is not installed here: onnxruntime-gpu (found onnxruntime 1.31.1). "
        'Run: pip uninstall -y onnxruntime && pip install "rim-edge[gpu]"'
    )
    machine(found_with(RTX_4090), wheels={})
    assert refused(EngineName.ORT_CUDA).endswith('here: onnxruntime-gpu. Run: pip install "rim-edge[gpu]"')
    machine(found_with(RTX_4090), wheels={"onnxruntime": "1", "onnxruntime-gpu": "1"})
    assert "are both installed and overwrite each other" in refused(EngineName.ORT_CUDA)


def test_without_a_gpu_no_wheel_is_recommended(machine: Machine) -> None:
    machine(look(FakeProbe(None, None, None, 0)), wheels={"onnxruntime": "1.31.1"}, trt=())
    for name in (EngineName.ORT_CUDA, EngineName.TRT):
        assert "pip install" not in refused(name)


def test_a_missing_library_and_a_missing_binding(machine: Machine) -> None:
    machine(found_with(RTX_4090), trt=())
    assert 'here: tensorrt_rtx. Run: pip install "rim-edge[trt]"' in refused(EngineName.TRT)
    machine(found_with(RTX_4090), cuda_python=False)
    assert refused(EngineName.TRT).endswith('here: cuda-bindings. Run: pip install "rim-edge[trt]"')


def test_too_little_memory(machine: Machine, tiny_bundle: Path) -> None:
    machine(found_with(dataclasses.replace(RTX_4090, memory_bytes=4_000_000_000)))
    bundle = Bundle.load(tiny_bundle)
    variant = bundle.manifest.variants[0]
    files = {**bundle.manifest.files, variant.data: FileEntry(3_400_000_000, "")}
    large = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, files=files))
    with pytest.raises(UnavailableError, match=r"has 4\.0 GB of memory, ort-cuda needs about 4\.7 GB for this"):
        open_ort_cuda(large, variant)


ODD = (
    RuntimeError("of the binding"),
    TypeError("incompatible arguments"),
    MemoryError(),
    KeyError("SM89"),
    OSError(5, "io"),
)


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("open_engine", [open_ort_cuda, open_trt])
def test_whatever_a_library_raises_makes_auto_step_down(
    machine: Machine,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    open_engine: Callable[..., object],
) -> None:
    machine(found_with(RTX_4090))
    bundle = Bundle.load(tiny_bundle)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(gpu_engines, "import_onnxruntime", fail)
    monkeypatch.setattr(tensorrt, "import_tensorrt", fail)
    with pytest.raises(UnavailableError, match=rf"cannot be opened \({type(error).__name__}: .*rim-edge doctor"):
        open_engine(bundle, bundle.manifest.variants[0])


@pytest.mark.parametrize("error", [RuntimeError("driver"), AttributeError("__version__"), OSError("libnvinfer")])
def test_a_library_that_fails_when_imported_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(tensorrt, "import_module", fail)
    with pytest.raises(UnavailableError, match=rf"tensorrt_rtx cannot be imported \({error}\)\. Install it again"):
        tensorrt.import_tensorrt(Library.RTX, "This test")


def test_statuses_cover_every_engine() -> None:
    assert [status.name for status in registry.engine_statuses()] == ["ort-cpu", "openvino", "ort-cuda", "trt"]


def test_a_plan_of_a_graph_that_changed_while_it_was_built_is_not_kept(
    machine: Machine, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT opens files itself: a plan of other weights would be kept under the checked hash."""
    machine(found_with(RTX_4090))
    bundle = Bundle.load(tiny_bundle)
    variant = bundle.manifest.variants[0]
    files = check_graph(bundle, variant, Records.here(), None)

    class Backend:
        def __init__(self, graph: object, library: object, obtain: Callable[[], object], **_: object) -> None:
            obtain()

    def build(*_: object) -> memoryview:
        (tiny_bundle / variant.data).write_bytes(b"other weights")
        return memoryview(b"plan")

    monkeypatch.setattr(tensorrt, "import_tensorrt", lambda library, what: TensorRt(library, Version()))
    monkeypatch.setattr(trt, "TrtBackend", Backend)
    monkeypatch.setattr(build_module, "build_plan", build)
    with pytest.raises(BundleCorruptError, match="changed while it was loaded"):
        open_trt(bundle, variant, files=files)
    assert not plans_folder().exists() or not list(plans_folder().iterdir())


class Version:
    __version__ = "1.7.1.116"
