"""int8 products are exact: tried where the processor does not say so, and made safe where they are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rim_runtime import Bundle, EngineName
from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines import ort_cpu, registry
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.engines.registry import require_engine
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.machine.cpu import this_cpu

from tests.places import DEMO_FOLDER


def test_the_product_is_what_it_says() -> None:
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.UINT8, ["m", "k"]),
        helper.make_tensor_value_info("b", TensorProto.INT8, ["k", "n"]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.INT32, ["m", "n"])
    graph = helper.make_graph([node], "g", inputs, [output])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)
    assert onnx.load_from_string(ort_cpu._PRODUCT) == made


@pytest.fixture
def silent_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that does not tell what its processor can do."""
    cpu = replace(this_cpu(), features=None)
    monkeypatch.setattr(ort_cpu, "this_cpu", lambda: cpu)


class Saturating:
    """ONNX Runtime on a processor without VNNI, as an emulated Haswell showed it: sums of 131,068 for 259,080."""

    def __init__(self, library: Any) -> None:
        self.SessionOptions = library.SessionOptions

    def InferenceSession(self, *_: Any, **__: Any) -> Saturating:  # noqa: N802 (its name)
        return self

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        a, b = (feed[name].astype(np.int64) for name in "ab")
        pairs = (a[:, :, None] * b[None]).reshape(len(a), -1, 2, b.shape[1]).sum(2)
        return [np.minimum(pairs, np.iinfo(np.int16).max).sum(1)]


@pytest.mark.usefixtures("silent_processor")
def test_what_the_processor_does_not_say_is_tried() -> None:
    library = import_onnxruntime()
    assert ort_cpu.saturates(Saturating(library))
    exact = bool(ort_cpu.EXACT & set(this_cpu().features or ()))
    assert not (exact and ort_cpu.saturates(library))


def test_the_safe_form_is_asked_for_and_answers_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.load(DEMO_FOLDER)
    feed = (np.arange(5, 45, dtype=np.int64)[None], np.array([40]), np.array([4]))
    logits = []
    for unsafe in (False, True):
        monkeypatch.setattr(ort_cpu, "saturates", lambda _, unsafe=unsafe: unsafe)
        backend = OrtCpuBackend(bundle, bundle.variant(Precision.INT8))
        assert (ort_cpu.SAFE_PRODUCTS in backend.fingerprint) is unsafe
        logits.append(backend.run(*feed))
        backend.close()
    np.testing.assert_allclose(*logits, atol=1e-5)


def test_the_engine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "saturates", lambda _: True)
    assert require_engine(EngineName.ORT_CPU).endswith("int8 in a slower form, for this processor has no VNNI")
