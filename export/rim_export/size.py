"""How large a bundle becomes, estimated from the headers of the checkpoint's files before anything is written."""

from __future__ import annotations

import math

from rim_runtime.bundle.manifest import Dialect, Head, Precision
from rim_runtime.engines.names import EngineName

from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.tensors import in_layer
from rim_export.settings import AnswerForm, ExportOptions, dialects_of

_MATRICES = {
    Precision.FP32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP16: 2.0,
    Precision.INT8: 1.0,
    Precision.FP8: 1.0,
    Precision.INT4: 0.5,
    Precision.NVFP4: 0.5625,
}
"""Bytes of a matrix's weight; int4's scales are counted by block."""
_TABLE = {Precision.INT8: 1.0, Precision.INT4: 1.0}
"""Bytes of a weight of the embedding table; in the other precisions it has the checkpoint's dtype, or 16 bits."""
_TABLE_ELSEWHERE = 2.0
_STEP = {Dialect.ORT: 2.5, Dialect.PORTABLE: 4.5}
"""int4: bytes of a block's scale and zero point."""


def estimated_bytes(checkpoint: Checkpoint, options: ExportOptions) -> int:
    """Return about how many bytes the bundle's files take, plans included; rather too few than too many."""
    table, matrices = _weights(checkpoint, options.head)
    forms = (options.dialect,) if options.dialect else dialects_of(options.precision)
    if not options.for_gpus:
        rest = _TABLE.get(options.precision, _TABLE_ELSEWHERE) * table + _lm_head(table, options)
        return sum(int(matrices * _a_weight(options, form) + rest) for form in forms)
    for_cpus = int(matrices * _MATRICES[Precision.INT8] + table * _TABLE[Precision.INT8])
    ours = int(matrices * _a_weight(options, Dialect.PORTABLE) + table * _TABLE_ELSEWHERE)
    copies = 2 if options.engine is EngineName.TRT else 1  # a plan holds the weights again
    return for_cpus + copies * ours


def _weights(checkpoint: Checkpoint, head: Head) -> tuple[int, int]:
    """Return the numbers of weights in the embedding table, and in the matrices of the products."""
    files = checkpoint.weights
    table = checkpoint.sizes.vocabulary * checkpoint.sizes.width
    layers = [name for name in files.tensors if in_layer(name)]
    matrices = sum(math.prod(files.shape(name) or ()) for name in layers)
    return table, matrices + (table if head is Head.FULL else 0)


def _lm_head(table: int, options: ExportOptions) -> float:
    """Return the bytes of a decoder's output projection, which is int8 beside int4's matrices."""
    if options.answers is AnswerForm.LETTERS:
        return 0.0
    return table * max(_MATRICES[options.precision], 1.0)


def _a_weight(options: ExportOptions, form: Dialect) -> float:
    """Return the bytes of a matrix's weight, its share of a scale included."""
    scales = _STEP[form] / options.block_size if options.precision is Precision.INT4 else 0.0
    return _MATRICES[options.precision] + scales
