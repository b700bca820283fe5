"""Whether ONNX Runtime's int8 products saturate on this processor.

x86 processors without VNNI add two products of uint8 and int8 in 16 bits and cut off what does not fit: twice
255 × 127 becomes 32,767. Nothing says so, the answers are just wrong. ONNX Runtime has a safe form for them, with
weights as uint8 and wider sums; with VNNI it is half as fast, so we ask for it only where it is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rim_runtime.cpu import this_cpu

SAFE_PRODUCTS = "session.x64quantprecision"
"""The session option that asks for the safe form."""
EXACT = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""Features that make products exact: with one of them, there is nothing to try."""
_PRODUCT = bytes.fromhex(
    "08083a620a180a01610a0162120179220d4d61744d756c496e74656765721201675a150a016112100a0e0802120a0a0312016d0a0312016b"
    "5a150a016212100a0e0803120a0a0312016b0a0312016e62150a017912100a0e0806120a0a0312016d0a0312016e42040a00100a"
)
"""An ONNX graph: y = MatMulInteger(a uint8 [m, k], b int8 [k, n]), int32. A test makes it anew and compares."""


def saturates(library: Any) -> bool:
    """Whether a product of the largest numbers comes out too small; `library` is onnxruntime."""
    if EXACT & set(this_cpu().features or ()):
        return False
    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    session = library.InferenceSession(_PRODUCT, options, providers=["CPUExecutionProvider"])
    largest, inputs = (255, 127), 8
    feed = {"a": np.full((4, inputs), largest[0], np.uint8), "b": np.full((inputs, 16), largest[1], np.int8)}
    (sums,) = session.run(None, feed)
    return bool((sums != largest[0] * largest[1] * inputs).any())
