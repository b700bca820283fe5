"""What this processor multiplies with at its best, through ONNX Runtime: `multiply.py CONFIG.json`.

One layer's matrix products at their real shapes, in the int8 forms that ONNX Runtime's CPU provider is fast with,
and fp32. Each has a session of its own that lives only while it is timed: sessions alive side by side steal cores.
The answer to `int8` and `fp32` is {product: {form: seconds}} for as many rows as the prompt has ids. In both the
weight stays in the cache from one product to the next; `int8 streamed` takes another weight each time, as a model.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from serving import THREADS, Prompt, serve

MICROSOFT = "com.microsoft"
REPEATS = 4
STREAMED_BYTES = 200_000_000
"""Weights that one product takes in turns for `int8 streamed`: more than a cache holds."""
Form = Callable[[int, int], bytes]


def products(config: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return one layer's matrix products, {name: (inputs, outputs)}, merged where one input serves several."""
    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    return {
        "qkv": (hidden, queries + 2 * keys),
        "o": (queries, hidden),
        "gate_up": (hidden, 2 * inner),
        "down": (inner, hidden),
    }


def _model(operator: str, domain: str, kind: int, rest: dict[str, np.ndarray], copies: int = 1) -> bytes:
    """Return a graph of an operator: activations [rows, inputs] of type `kind`, then constants; `copies` of it."""
    inputs, outputs = rest["weight"].shape
    numbers = range(copies)
    nodes = [
        helper.make_node(operator, ["x", *(f"{name}{n}" for name in rest)], [f"y{n}"], domain=domain)
        for n in numbers
    ]
    out = TensorProto.INT32 if operator == "MatMulInteger" else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        operator,
        [helper.make_tensor_value_info("x", kind, ["rows", inputs])],
        [helper.make_tensor_value_info(f"y{n}", out, ["rows", outputs]) for n in numbers],
        [numpy_helper.from_array(value, f"{name}{n}") for name, value in rest.items() for n in numbers],
    )
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid(MICROSOFT, 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def _int8_weight(inputs: int, outputs: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-127, 128, (inputs, outputs), np.int8)


def dynamic_quantize(inputs: int, outputs: int) -> bytes:
    """float32 in and out; quantizes its input per tensor, uint8."""
    scale = np.full(outputs, 0.01, np.float32)
    rest = {"weight": _int8_weight(inputs, outputs), "scale": scale}
    return _model("DynamicQuantizeMatMul", MICROSOFT, TensorProto.FLOAT, rest)


def integer_to_float(inputs: int, outputs: int, copies: int = 1) -> bytes:
    """uint8 in, float32 out, per-channel scales; on bare int8 inputs it takes a path 20 times slower."""
    rest = {
        "weight": _int8_weight(inputs, outputs),
        "input_scale": np.array(1 / 127, np.float32),
        "scale": np.full(outputs, 0.01, np.float32),
    }
    return _model("MatMulIntegerToFloat", MICROSOFT, TensorProto.UINT8, rest, copies)


def streamed(inputs: int, outputs: int) -> bytes:
    """As integer_to_float, with many weights in turn."""
    return integer_to_float(inputs, outputs, STREAMED_BYTES // (inputs * outputs))


def integer(inputs: int, outputs: int) -> bytes:
    """uint8 in, int32 out: nothing but the product."""
    return _model("MatMulInteger", "", TensorProto.UINT8, {"weight": _int8_weight(inputs, outputs)})


def floating(inputs: int, outputs: int) -> bytes:
    """float32 in and out."""
    weight = np.random.default_rng(0).standard_normal((inputs, outputs), np.float32)
    return _model("MatMul", "", TensorProto.FLOAT, {"weight": weight})


FORMS: dict[str, dict[str, Form]] = {
    "int8": {
        "DynamicQuantizeMatMul": dynamic_quantize,
        "MatMulIntegerToFloat": integer_to_float,
        "MatMulInteger": integer,
    },
    "int8 streamed": {"MatMulIntegerToFloat": streamed},
    "fp32": {"MatMul": floating},
}


def best_seconds(library: Any, model: bytes, rows: int) -> float:
    """Return the best time of a product, of a few runs in a session of their own."""
    options = library.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = library.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    generator = np.random.default_rng(1)
    x = (
        generator.standard_normal((rows, given.shape[1]), np.float32)
        if given.type == "tensor(float)"
        else generator.integers(0, 127, (rows, given.shape[1])).astype(given.type[7:-1])
    )
    seconds = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        session.run(None, {"x": x})
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) / len(session.get_outputs())


def main() -> None:
    """Make the graphs, serve the times."""
    library = import_onnxruntime()
    shapes = products(json.loads(Path(sys.argv[1]).read_text()))
    models = {
        kind: {product: {name: form(*shape) for name, form in forms.items()} for product, shape in shapes.items()}
        for kind, forms in FORMS.items()
    }

    def times(kind: str) -> Callable[[Prompt], object]:
        def ask(prompt: Prompt) -> dict[str, dict[str, float]]:
            rows = len(prompt["ids"])
            return {
                product: {form: best_seconds(library, model, rows) for form, model in forms.items()}
                for product, forms in models[kind].items()
            }

        return ask

    serve(
        {kind: times(kind) for kind in models},
        {"onnxruntime": library.__version__, "onnx": onnx.__version__, "products": shapes},
    )


if __name__ == "__main__":
    main()
