"""Write a bundle as a model of a Triton repository: ONNX Runtime backend, requests batched by the server.

    DIR/NAME/config.pbtxt      what Triton reads
    DIR/NAME/1/model.onnx      the graph, and beside it its weights under the name that it reads them from
    DIR/NAME/manifest.json     with tokenizer.json: what a client needs to make tokens of a question
    DIR/NAME/LICENSE, MODEL_CARD.md

| tensor | type, shape in a request | meaning |
| --- | --- | --- |
| in `question_ids` | INT64 [batch, length] | tokens of the question segment, right-padded with 0 |
| in `question_length` | INT64 [batch, 1] | how many of them are the question's |
| in `blocks` | INT64 [batch, 1] | memory blocks to use, 0..K |
| out `letter_logits` | FP32 [batch, letters] | logits of the letters, in the manifest's order |

Triton's items of a batch have at least one dimension: it takes [batch, 1] and gives the graph [batch] (`reshape`).
It batches requests whose shapes are equal, so clients pad questions to a few lengths. Ragged inputs it would join
to one row, which this graph does not take.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rim_runtime.bundle.copying import refuse_full, refuse_inside
from rim_runtime.bundle.external_data import check_locations
from rim_runtime.bundle.folder import MANIFEST, TOKENIZER, Bundle
from rim_runtime.bundle.manifest import Compute, Head, Manifest, Precision, Variant
from rim_runtime.bundle.source import BundleSource, checked_parts, manifest_bytes
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.support import SUPPORT
from rim_runtime.errors import InputError
from rim_runtime.machine.storage import new_folder, refuse_existing, refuse_file
from rim_runtime.progress import OnProgress
from rim_runtime.version import __version__

GRAPH = "model.onnx"
"""What the backend opens without being told."""
CONFIG = "config.pbtxt"
_VERSION = "1"
_CARRIED = (TOKENIZER, "LICENSE", "MODEL_CARD.md")
_IN_ORDER = (EngineName.ORT_CPU, EngineName.ORT_CUDA, EngineName.TRT)
"""Engines that `auto` looks at, the one that needs least first."""
_TENSORRT = {Compute.FP16: "FP16", Compute.BF16: "BF16"}
"""The backend's precision modes, by what a graph computes in between its products."""
_NO_MODE = (Precision.FP8, Precision.NVFP4)
"""Precisions for which the backend cannot ask TensorRT."""
_TUNED_LENGTH = 128
"""Tokens of a question that TensorRT tunes its kernels for."""


@dataclass(frozen=True)
class TritonModel:
    """A model that was written."""

    path: Path
    """Its folder in the repository."""
    variant: Variant
    """What of the bundle it is."""
    engine: EngineName
    """What Triton runs it with."""


@dataclass(frozen=True)
class TritonOptions:
    """What can be chosen."""

    precision: Precision | None = None
    """None: the first that the engine was made for."""
    engine: EngineName = EngineName.AUTO
    """Execution provider of the backend; `auto`: the CPU if the variant runs there."""
    max_batch: int = 16
    """Questions that Triton puts into one batch."""


def write_triton_model(
    source: BundleSource, repository: Path, options: TritonOptions, progress: OnProgress | None = None
) -> TritonModel:
    """Write a bundle into a Triton repository, which may have other models; it appears whole or not at all.

    Raises TargetExistsError and InputError (the target; a name that is no folder's; nothing that runs there),
    StorageError and BundleCorruptError.
    """
    manifest = source.manifest
    if Path(manifest.name).name != manifest.name or manifest.name in ("", ".", ".."):
        raise InputError(f"The bundle is called {manifest.name!r}, expected a name that a folder can have.")
    target = repository / manifest.name
    refuse_file(repository, "the models of Triton")
    refuse_existing(target)
    if isinstance(source, Bundle):
        refuse_inside(source.path, target)
    engine, variant = _choose(source, options)
    carried = [name for name in _CARRIED if name in manifest.files]
    refuse_full(source, (variant.graph, variant.data, *carried), target)
    with new_folder(target) as work:
        (work / _VERSION).mkdir()
        places = {name: work / name for name in carried}
        places |= {variant.graph: work / _VERSION / GRAPH, variant.data: work / _VERSION / variant.data}
        for name, place in places.items():
            with place.open("xb") as copy:
                for part in checked_parts(source, name, progress, "copying"):
                    copy.write(part)
        check_locations((work / _VERSION / GRAPH).read_bytes(), work / _VERSION / GRAPH, variant.data)
        (work / MANIFEST).write_bytes(manifest_bytes(source))
        text = config_text(manifest, variant, engine, options.max_batch)
        (work / CONFIG).write_text(text, encoding="utf-8")
    return TritonModel(target, variant, engine)


def _choose(source: BundleSource, options: TritonOptions) -> tuple[EngineName, Variant]:
    """Return what runs which variant: one that was made for it, else one that it runs as well."""
    wanted = [
        variant
        for variant in source.manifest.variants
        if variant.head is Head.LETTERS and options.precision in (None, variant.precision)
    ]
    engines = _IN_ORDER if options.engine is EngineName.AUTO else (options.engine,)
    pairs = [(one, variant) for one in engines for variant in wanted if _backend_runs(one, variant)]
    best = [(one, variant) for one, variant in pairs if SUPPORT[one].suits(variant)] or pairs
    if best:
        return best[0]
    has = ", ".join(f"{one.name} ({one.head})" for one in source.manifest.variants)
    raise InputError(
        f"{source.where} has nothing{f' in {options.precision}' if options.precision else ''} that Triton's ONNX "
        f"Runtime backend runs on {' or '.join(engines)}, expected letters in "
        f"{'; or '.join(str(SUPPORT[one]) for one in engines)}, but for TensorRT not "
        f"{' or '.join(_NO_MODE)}. It has {has}."
    )


def _backend_runs(engine: EngineName, variant: Variant) -> bool:
    without = engine is EngineName.TRT and variant.precision in _NO_MODE
    return SUPPORT[engine].takes(variant) and not without


def config_text(manifest: Manifest, variant: Variant, engine: EngineName, max_batch: int) -> str:
    """Return a model's `config.pbtxt`: a ModelConfig message of Triton's, as text."""
    kind = "KIND_GPU" if engine in (EngineName.ORT_CUDA, EngineName.TRT) else "KIND_CPU"
    parts = [
        f"# Written by rim-edge {__version__} from {variant.name} of this bundle.",
        f"name: {_quoted(manifest.name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch}",
        _TENSORS.replace("LETTERS", str(len(manifest.letters))),
        "# Whatever waits is the next batch; nothing waits for more to come.",
        "dynamic_batching { max_queue_delay_microseconds: 0 }",
        f"instance_group [ {{ count: 1 kind: {kind} }} ]",
        *_accelerator(manifest, variant, engine, max_batch),
        _parameter("manifest_sha256", manifest.sha256),
    ]
    return "\n".join(parts) + "\n"


_TENSORS = """\
input [
  { name: "question_ids" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "question_length" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } },
  { name: "blocks" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } }
]
output [
  { name: "letter_logits" data_type: TYPE_FP32 dims: [ LETTERS ] }
]"""


def _accelerator(manifest: Manifest, variant: Variant, engine: EngineName, max_batch: int) -> list[str]:
    """Return what asks for another execution provider than the device's own; nothing for that."""
    if engine is EngineName.OPENVINO:
        return ['optimization { execution_accelerators { cpu_execution_accelerator : [ { name: "openvino" } ] } }']
    if engine is not EngineName.TRT:
        return []
    longest = manifest.limits.question_tokens
    shapes = {
        "precision_mode": "INT8" if variant.precision is Precision.INT8 else _TENSORRT[variant.compute],
        "trt_profile_min_shapes": _shapes(1, 1),
        "trt_profile_opt_shapes": _shapes(max_batch, min(_TUNED_LENGTH, longest)),
        "trt_profile_max_shapes": _shapes(max_batch, longest),
    }
    lines = [f"    parameters {{ key: {_quoted(key)} value: {_quoted(value)} }}" for key, value in shapes.items()]
    return [
        'optimization { execution_accelerators { gpu_execution_accelerator : [ {\n    name: "tensorrt"',
        *lines,
        "  } ] } }",
    ]


def _shapes(batch: int, length: int) -> str:
    return f"question_ids:{batch}x{length},question_length:{batch},blocks:{batch}"


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(key)} value: {{ string_value: {_quoted(value)} }} }}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
