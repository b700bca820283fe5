"""The bundle's manifest: what a bundle says about itself, and nothing else (DESIGN 5).

`manifest.json` is canonical JSON of one Manifest plus `manifest_sha256`, the hash of the rest.

What every release can read of every manifest: `schema_version`, looked at before any other key, and the release
that made it (`tools`, "rim-edge"). A key that a reader must know comes with another schema version; what a reader
may leave unread lies in `optional`. Any other unknown key is a fault.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rim_runtime.bundle.control_characters import refuse_control_characters, without_control_characters
from rim_runtime.bundle.json_fields import build
from rim_runtime.errors import BundleCorruptError, BundleVersionError, InputError
from rim_runtime.machine.json_files import parse_json
from rim_runtime.prompt.contract import PromptContract
from rim_runtime.prompt.options import LETTERS
from rim_runtime.version import __version__

SCHEMA_VERSION = 1
_LONGEST_NAME = 255
_MOST_POSITIONS = 2**24
"""More than the context of any model."""
_MOST_IDS = 2**31
"""More than the vocabulary of any model."""


class Precision(StrEnum):
    """Number formats a variant can have (DESIGN 8)."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
    FP8 = "fp8"
    INT4 = "int4"
    NVFP4 = "nvfp4"
    """An experiment for sm_120: no engine of this release has run it."""


def parse_precision(name: str) -> Precision:
    """Return the precision of this name. Raises InputError."""
    known = [precision.value for precision in Precision]
    if name not in known:
        raise InputError(f"There is no precision {name!r}, expected one of {', '.join(known)}.")
    return Precision(name)


class Compute(StrEnum):
    """The type a graph computes in between its narrow products: attention, activations, residuals."""

    FP32 = "fp32"
    """Every CPU engine runs it; TensorRT has no attention in fp32."""
    FP16 = "fp16"
    """GPU engines run it; so does ONNX Runtime on the CPU, more exactly."""
    BF16 = "bf16"
    """GPU engines run it; ONNX Runtime has no kernels for it on the CPU."""


class Dialect(StrEnum):
    """Which operators a graph is written in."""

    PORTABLE = "portable"
    """Standard operators only: every engine reads it."""
    ORT = "ort"
    """With ONNX Runtime's own operators, for its CPU engine."""


class Head(StrEnum):
    """Which rows of the output projection are in the graph."""

    LETTERS = "letters"
    """Output `letter_logits` [batch, letters]."""
    FULL = "full"
    """Output `logits` [batch, vocabulary], for research."""


@dataclass(frozen=True)
class Source:
    """Where the bundle comes from."""

    model: str
    """Name of the checkpoint: a hub id or the folder's name, never an absolute path."""
    revision: str | None
    """The hub's commit, where known."""
    architecture: str
    """`model_type` of the checkpoint's config.json."""
    weights_sha256: str
    """Hash over the checkpoint's weight files, in name order."""


@dataclass(frozen=True)
class Limits:
    """How long a question may be, in tokens."""

    question_tokens: int
    """Longest question segment: max_length minus the fixed tokens."""
    max_length: int
    """Longest whole prompt."""
    model_positions: int
    """`max_position_embeddings` of the checkpoint."""


@dataclass(frozen=True)
class Variant:
    """One graph of the bundle: a precision in a dialect."""

    name: str
    """The variant's name, as in `model.<name>.onnx`."""
    precision: Precision
    """Number format of weights and activations in the large matrix products."""
    head: Head
    """Which output the graph has."""
    graph: str
    """File name of the ONNX graph."""
    data: str
    """File name of its external data."""
    wide_layers: tuple[int, ...] = ()
    """Layers kept as wide as the graph computes, in bundles of before products were (widened.py); else empty."""
    dialect: Dialect = Dialect.PORTABLE
    """Operators of the graph."""
    compute: Compute = Compute.FP32
    """The type it computes in between its products; TensorRT takes only 16-bit types."""


@dataclass(frozen=True)
class Profile:
    """Shapes of `question_ids`, [batch, length], that one optimization profile of a plan takes, inclusive."""

    least_length: int
    """Shortest padded question, in tokens."""
    most_length: int
    """Longest padded question, in tokens; the profile is tuned for it."""
    most_batch: int
    """Most questions at once, at least 1; the profile is tuned for 1."""


@dataclass(frozen=True)
class Plan:
    """A TensorRT engine built from one of the variants. A plan is code: DESIGN 5 says which are loaded."""

    file: str
    """Its file name."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""
    bytes: int
    """Size of the file."""
    variant: str
    """Name of the variant it was built from."""
    graph_sha256: str
    """`graph_sha256` of that variant, at the time of building."""
    library: str
    """`tensorrt-rtx` or `tensorrt`."""
    library_version: str
    """Exact release; no other release runs the plan."""
    platform: str
    """Where it was built, as in `linux-x86_64`."""
    targets: tuple[str, ...]
    """GPUs it was built for, as in `sm_89`."""
    profiles: tuple[Profile, ...]
    """Its optimization profiles, by their numbers in the engine; shorter questions first."""


@dataclass(frozen=True)
class FileEntry:
    """Size and hash of one file of the bundle."""

    bytes: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the content, hexadecimal."""


@dataclass(frozen=True)
class Manifest:
    """Everything the runtime needs to know about a bundle besides the files themselves."""

    name: str
    """The bundle's name."""
    source: Source
    """Where it comes from."""
    tools: Mapping[str, str]
    """Versions of the tools that made it."""
    prompt: PromptContract
    """The prompt contract."""
    letters: Mapping[str, int]
    """Letter to token id, in the order of the columns of `letter_logits`."""
    limits: Limits
    """How long a question may be."""
    variants: tuple[Variant, ...]
    """The graphs, the default one first."""
    files: Mapping[str, FileEntry]
    """Every other file of the bundle by name."""
    plans: tuple[Plan, ...] = ()
    """TensorRT engines that were built from the graphs."""
    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    optional: Mapping[str, Any] = field(default_factory=dict)
    """What a release that does not know it may ignore: without it, the same answers. Not written where empty."""

    @property
    def sha256(self) -> str:
        """The hash over its canonical JSON; it changes with anything in the bundle."""
        return _hash(self._body())

    def graph_sha256(self, variant: Variant) -> str:
        """Return the hash of a variant's content: the hash over its graph's and its weights' hashes."""
        return graph_sha256(self.files[variant.graph], self.files[variant.data])

    def to_json(self) -> str:
        """Return the text of `manifest.json`, its own hash included."""
        return json.dumps(self._body() | {"manifest_sha256": self.sha256}, indent=1, ensure_ascii=False) + "\n"

    def _body(self) -> dict[str, Any]:
        body = dataclasses.asdict(self)
        return body if self.optional else {name: value for name, value in body.items() if name != "optional"}

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Read a manifest; `where` names the file in errors.

        Raises BundleVersionError for another schema, then BundleCorruptError for a wrong hash or field.
        """
        try:
            body = parse_json(text)
            _hash(body)  # fails on half a surrogate pair
        except (ValueError, RecursionError) as error:
            raise BundleCorruptError(f"{where} is not JSON ({error}). Copy or export the bundle again.") from None
        if not isinstance(body, dict) or "schema_version" not in body:
            raise BundleCorruptError(
                f"{where} is not a rim-edge manifest: it has no schema_version. "
                "Take a folder that 'rim-edge export' made."
            )
        version = body["schema_version"]
        if type(version) is not int or version != SCHEMA_VERSION:
            raise _other_schema(body, where)
        stated = body.pop("manifest_sha256", None)
        if stated != _hash(body):
            raise BundleCorruptError(
                f"{where} was altered: its manifest_sha256 is not the hash of its content. "
                "Copy or export the bundle again."
            )
        refuse_control_characters(body, where)
        manifest = build(cls, body, where)
        manifest._check_values(where)
        return manifest

    def _check_values(self, where: str) -> None:
        """Raise BundleCorruptError for values that have the right type but that no bundle can have."""
        limits, fixed = self.limits, self.prompt.fixed_tokens
        prompt, ids = self.prompt, tuple(self.letters.values())
        wrong = {
            "name": not 1 <= len(self.name) <= _LONGEST_NAME,
            "letters": list(self.letters) != list(LETTERS)[: len(self.letters)]
            or len(self.letters) < 2
            or not _are_ids(ids)
            or len(set(ids)) < len(ids),
            "variants": not self.variants,
            "limits": not 1 <= limits.question_tokens <= limits.max_length - fixed
            or not limits.max_length <= limits.model_positions <= _MOST_POSITIONS,
            "prompt": not 0 <= prompt.blocks <= _MOST_POSITIONS
            or not (prompt.prefix and (prompt.block or not prompt.blocks))
            or not _are_ids((*prompt.head, *prompt.tail, *prompt.block, *prompt.prefix)),
            "plans": not all(self._is_own(plan) for plan in self.plans),
        }
        if bad := [name for name, is_wrong in wrong.items() if is_wrong]:
            raise BundleCorruptError(
                f"{where} has impossible values in {', '.join(bad)}. Export the bundle again."
            )

    def _is_own(self, plan: Plan) -> bool:
        """Whether a plan's file and variant belong to this bundle, and its profiles are possible."""
        listed = self.files.get(plan.file) == FileEntry(plan.bytes, plan.sha256)
        possible = all(1 <= one.least_length <= one.most_length and one.most_batch >= 1 for one in plan.profiles)
        known = plan.variant in {variant.name for variant in self.variants}
        return listed and known and possible and bool(plan.profiles) and bool(plan.targets)


def _other_schema(body: Mapping[str, Any], where: str) -> BundleVersionError:
    """Return the error for a schema that this release does not read; nothing else in the body can be relied on."""
    version, tools = body["schema_version"], body.get("tools")
    maker = tools.get("rim-edge") if isinstance(tools, dict) else None
    made = f" (made by rim-edge {without_control_characters(maker)[:40]})" if isinstance(maker, str) else ""
    newer = type(version) is int and version > SCHEMA_VERSION
    return BundleVersionError(
        f"{where} has schema version {without_control_characters(repr(version))[:40]}{made}, this release reads "
        f"{SCHEMA_VERSION} (rim-edge {__version__}). "
        + ("Upgrade rim-edge, or export the bundle with this release." if newer else "Export the bundle again.")
    )


def _are_ids(ids: Sequence[int]) -> bool:
    return all(0 <= number < _MOST_IDS for number in ids)


def graph_sha256(graph: FileEntry, data: FileEntry) -> str:
    """Return one hash for a graph and its external data."""
    return hashlib.sha256(f"{graph.sha256} {data.sha256}".encode()).hexdigest()


def _hash(body: Mapping[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
