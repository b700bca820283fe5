"""Ours: graphs written by the exporter's own recipes, asked through the runtime's own engines; no certificate.

Random weights have no letters worth proving, and a certificate would take most of the nine minutes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gpu_parts.model import CONTRACT, FIXED, LETTER_IDS, config_of, questions
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Compute, FileEntry, Head, Limits, Manifest, Precision, Source, Variant
from rim_runtime.engines.backend import MANY, Backend
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.registry import open_backend, require_engine
from rim_runtime.errors import UnavailableError

LONGEST = 552
"""Tokens of a prompt at most: the profiles of plans end there."""
BY_DEVICE = {
    "cuda": {
        EngineName.TRT: (Precision.FP8, Precision.BF16, Precision.INT8),
        EngineName.ORT_CUDA: (Precision.BF16, Precision.FP16),
    },
    "cpu": {EngineName.ORT_CPU: (Precision.FP32, Precision.FP16)},
}
"""What is asked on which device; on `cpu` it only shows that the benchmark itself works."""
WEIGHT_BYTES = {
    Precision.FP32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP16: 2.0,
    Precision.FP8: 1.0,
    Precision.INT8: 1.0,
}


def engines_here(device: str) -> tuple[list[EngineName], dict[str, str]]:
    """Return the engines that run here, and why the others do not."""
    able, lacking = [], {}
    for name in BY_DEVICE[device]:
        try:
            require_engine(name)
            able.append(name)
        except UnavailableError as error:
            lacking[str(name)] = str(error)
    return able, lacking


@dataclass(frozen=True)
class VariantWriter:
    """A graph without weights, and the weights for it; every variant is written from a copy."""

    unbound: Any
    weights: Any
    folder: Path

    @classmethod
    def open(cls, checkpoint: Path, folder: Path, layers: int) -> VariantWriter:
        """Convert the model, once for all precisions."""
        from rim_export.checkpoint.folder import Checkpoint
        from rim_export.graph.convert import convert
        from rim_export.weights.model_weights import ModelWeights

        folder.mkdir(parents=True, exist_ok=True)
        weights = ModelWeights(Checkpoint.open(checkpoint), LETTER_IDS, Head.LETTERS)
        return cls(convert(config_of(layers), CONTRACT, len(LETTER_IDS), Head.LETTERS), weights, folder)

    def write(self, precision: Precision) -> Bundle:
        """Write the graph of a precision; return a bundle of it alone, without tokenizer and proof."""
        from rim_export.recipes.recipe import bind
        from rim_export.weights.files import write_graph

        recipe = _recipe(precision)
        copy = dataclasses.replace(self.unbound, model=self.unbound.model.clone())
        bind(recipe, copy, self.weights, frozenset())
        graph, data = f"model.{recipe.name}.onnx", f"model.{recipe.name}.onnx.data"
        (self.folder / data).unlink(missing_ok=True)
        write_graph(copy, self.folder / graph, self.folder / data)
        variant = Variant(recipe.name, precision, Head.LETTERS, graph, data, compute=recipe.compute)
        return Bundle(self.folder, _manifest(self.folder, variant))


@contextmanager
def opened(bundle: Bundle, engine: EngineName) -> Iterator[Backend]:
    """Open an engine on a bundle's only variant. Raises UnavailableError."""
    backend = open_backend(engine, bundle, bundle.manifest.variants[0], MANY)
    try:
        yield backend
    finally:
        backend.close()


def ask(backend: Backend, batch: int, tokens: int) -> np.ndarray:
    """Answer a batch of prompts of this many tokens, float32 [batch, letters]."""
    return backend.run(*feed(batch, tokens))


def feed(batch: int, tokens: int) -> tuple[Any, Any, Any]:
    """Return what a backend is given."""
    rows = np.array(questions(batch, tokens), np.int64)
    return rows, np.full(batch, tokens - FIXED), np.full(batch, CONTRACT.blocks)


def ask_rtx() -> str:
    """Ask TensorRT-RTX whether it takes this GPU: a tiny plan for it, its header's validity, and its loading."""
    from rim_runtime.errors import MissingExtraError
    from rim_runtime.libraries.tensorrt import Library, import_tensorrt
    from rim_runtime.tensorrt.messages import heard_errors, process_logger

    try:
        library = import_tensorrt(Library.RTX, "Asking it").module
    except (MissingExtraError, UnavailableError) as error:
        return f"not asked: {error}"
    logger = process_logger(library)
    builder = library.Builder(logger)
    network = builder.create_network(0)
    tensor = network.add_input("x", library.DataType.FLOAT, (8, 8))
    network.mark_output(network.add_matrix_multiply(tensor, library.MatrixOperation.NONE, tensor,
                                                    library.MatrixOperation.NONE).get_output(0))  # fmt: skip
    told = []
    for target in ("CURRENT", "SM89"):
        config = builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(library.ComputeCapability.__members__[target], 0)
        with heard_errors(library) as heard:
            plan = builder.build_serialized_network(network, config)
        if plan is None:
            told.append(f"{target}: not built ({heard.first})")
            continue
        runtime = library.Runtime(logger)
        validity, why = runtime.get_engine_validity(bytes(memoryview(plan))[: runtime.engine_header_size])
        with heard_errors(library) as heard:
            loaded = runtime.deserialize_cuda_engine(plan) is not None
        told.append(
            f"{target}: built, header {validity} ({why}), {'loads' if loaded else f'refused: {heard.first}'}"
        )
    return "; ".join(told)


def _recipe(precision: Precision) -> Any:
    from rim_export.recipes.floats import FP32
    from rim_export.recipes.precisions import Measured, gpu_recipe

    return FP32 if precision is Precision.FP32 else gpu_recipe(precision, Compute.FP16, Measured(block_size=32))


def _manifest(folder: Path, variant: Variant) -> Manifest:
    names = (variant.graph, variant.data)
    return Manifest(
        name="bench",
        source=Source("random weights", None, "qwen3", ""),
        tools={},
        prompt=CONTRACT,
        letters=LETTER_IDS,
        limits=Limits(LONGEST - FIXED, LONGEST, LONGEST),
        variants=(variant,),
        files={name: FileEntry((folder / name).stat().st_size, _identity(folder / name)) for name in names},
    )


def _identity(path: Path) -> str:
    """Return something that changes with the file; hashing gigabytes would take too long here."""
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"
