"""A bundle and its tools as a CycloneDX bill of materials (JSON, 1.6), with its proof as a model card.

Written after the standard's schema, since cyclonedx-python-lib has no model cards; tests check what is written
with that library and the official schema it brings. The same bundle, on a machine with the same packages, gives
the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any
from urllib.parse import quote

from rim_runtime.bundle.folder import TOKENIZER, Bundle
from rim_runtime.bundle.manifest import Manifest, Variant
from rim_runtime.bundle.packed import PackedBundle
from rim_runtime.bundle.roles import all_graphs
from rim_runtime.bundle.source import checked_parts
from rim_runtime.bundle.widened import in_words, widened_parts
from rim_runtime.errors import InputError
from rim_runtime.version import __version__

from rim_edge.machine import LIBRARIES
from rim_edge.provenance.model_card import model_card

SPEC_VERSION = "1.6"
RUNTIME = ("numpy", "tokenizers", *LIBRARIES)
"""Packages that answers are computed with; those that are installed are listed."""
MODEL = "machine-learning-model"
_EPOCH = "SOURCE_DATE_EPOCH"
_CARD = "MODEL_CARD.md"
_SPDX = {
    name.lower(): name
    for name in ("Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC0-1.0")
}
"""Licences as model cards spell them, to their SPDX identifiers; others are given by their name."""


def bill_of_materials(bundle: Bundle | PackedBundle) -> dict[str, Any]:
    """Return a bundle's bill of materials, for `json.dumps`.

    Raises BundleCorruptError (a file that is read is not what the manifest says) and InputError
    (SOURCE_DATE_EPOCH is no time).
    """
    manifest, certificate = bundle.manifest, bundle.certificate()
    licences = _licences(bundle)
    body = {
        "metadata": _metadata(manifest, model_card(manifest, certificate), licences),
        "components": [
            _checkpoint(manifest, certificate, licences),
            *(_variant(manifest, variant) for variant in manifest.variants),
            *(_file(name, entry.sha256, entry.bytes, manifest) for name, entry in manifest.files.items()),
            *_running(),
        ],
        "dependencies": _dependencies(manifest),
        "formulation": [{"bom-ref": "made-with", "components": _makers(manifest)}],
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        **body,
    }


def _metadata(manifest: Manifest, card: dict[str, Any], licences: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the bill is about: the bundle. A manifest has no time, so the bill has one only if it is set."""
    about = {
        "type": MODEL,
        "bom-ref": "bundle",
        "name": manifest.name,
        "version": manifest.sha256,
        "description": f"A RiM bundle of {manifest.source.model}, which answers in one forward pass.",
        **({"licenses": licences} if licences else {}),
        "modelCard": card,
        "properties": _properties(
            {
                "manifest_sha256": manifest.sha256,
                "precisions": ", ".join(dict.fromkeys(one.precision for one in manifest.variants)),
                "blocks": manifest.prompt.blocks,
                "memory_tokens": manifest.prompt.memory_tokens,
                "letters": "".join(manifest.letters),
                "question_tokens": manifest.limits.question_tokens,
            }
        ),
    }
    tools = {"components": [_package("application", "rim-edge", __version__, "written-by")]}
    moment = _moment()
    return {**({"timestamp": moment} if moment else {}), "tools": tools, "component": about}


def _moment() -> str | None:
    text = os.environ.get(_EPOCH)
    if text is None:
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"{_EPOCH} is {text!r}, expected seconds since 1970, as in 1764374400. Set it so, or unset it."
        ) from None


def _checkpoint(
    manifest: Manifest, certificate: Mapping[str, Any], licences: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the model that the bundle was made of; its files are not in the bundle."""
    source, files = manifest.source, certificate.get("checkpoint_files")
    found: dict[str, Any] = {
        "type": MODEL,
        "bom-ref": "checkpoint",
        "name": source.model,
        **({"version": source.revision} if source.revision else {}),
        "description": "The checkpoint that the bundle was exported from.",
        "scope": "excluded",
        **({"licenses": licences} if licences else {}),
        "properties": _properties({"architecture": source.architecture, "weights_sha256": source.weights_sha256}),
    }
    if isinstance(files, dict) and files:
        found["components"] = [
            {"type": "file", "bom-ref": f"checkpoint:{name}", "name": name, "hashes": _hashes(str(sha256))}
            for name, sha256 in files.items()
            if re.fullmatch(r"[0-9a-f]{64}", str(sha256))
        ]
    return found


def _variant(manifest: Manifest, variant: Variant) -> dict[str, Any]:
    parts = widened_parts(manifest, variant.name)
    wider: dict[str, object] = {"kept_wider": in_words(parts)} if parts else {}
    return {
        "type": MODEL,
        "bom-ref": f"variant:{variant.name}",
        "name": f"{manifest.name} {variant.name}",
        "version": manifest.graph_sha256(variant),
        "description": f"The model in {variant.precision}, computed in {variant.compute} between its products.",
        "properties": _properties(
            {"precision": variant.precision, "compute": variant.compute, "dialect": variant.dialect, **wider}
        ),
    }


def _file(name: str, sha256: str, size: int, manifest: Manifest) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file:{name}",
        "name": name,
        "description": _purpose(name, manifest),
        "hashes": _hashes(sha256),
        "properties": _properties({"bytes": size}),
    }


def _purpose(name: str, manifest: Manifest) -> str:
    graphs = {graph.graph: "The graph" for graph in all_graphs(manifest)}
    weights = {graph.data: "Weights of the graph" for graph in all_graphs(manifest)}
    plans = {plan.file: "A TensorRT plan built from the graph" for plan in manifest.plans}
    others = {
        TOKENIZER: "The tokenizer, without added tokens",
        "golden.jsonl": "Golden questions, asked when an engine first loads the bundle",
        "certificate.json": "How each variant compares with the checkpoint",
        "LICENSE": "The checkpoint's licence",
        _CARD: "The checkpoint's card",
        "transformers.json": "What other programs must know of the checkpoint",
    }
    return (weights | graphs | plans | others).get(name, "A file of the bundle")


def _makers(manifest: Manifest) -> list[dict[str, Any]]:
    return [_package("library", name, version, "made-with") for name, version in manifest.tools.items()]


def _running() -> list[dict[str, Any]]:
    """Return the packages of this machine that answer; which bundle they run makes no difference."""
    found = [_package("application", "rim-edge", __version__, "runs-on")]
    for name in RUNTIME:
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        package = _package("library", name, str(about["Version"]), "runs-on")
        if expression := about["License-Expression"]:  # an SPDX expression by its own standard, PEP 639
            package["licenses"] = [{"expression": str(expression)}]
        found.append(package)
    return found


def _package(kind: str, name: str, version: str, role: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
    return {"type": kind, "bom-ref": f"{role}:{name}", "name": name, "version": version, "purl": purl}


def _dependencies(manifest: Manifest) -> list[dict[str, Any]]:
    """Return what needs what: the bundle its variants, files and packages, a variant its graphs and weights."""
    graphs: dict[str, list[str]] = {variant.name: [] for variant in manifest.variants}
    data = {variant.data: variant.name for variant in manifest.variants}
    for graph in all_graphs(manifest):
        if owner := data.get(graph.data):
            graphs[owner] += [f"file:{graph.graph}", f"file:{graph.data}"]
    variants = [f"variant:{name}" for name in graphs]
    of_variants = {name for names in graphs.values() for name in names}
    others = [name for name in (f"file:{file}" for file in manifest.files) if name not in of_variants]
    packages = [package["bom-ref"] for package in _running()]
    return [
        {"ref": "bundle", "dependsOn": [*variants, *others, *packages]},
        *({"ref": f"variant:{name}", "dependsOn": list(dict.fromkeys(names))} for name, names in graphs.items()),
    ]


def _licences(bundle: Bundle | PackedBundle) -> list[dict[str, Any]]:
    """Return the licence that the model card's header names; nothing where it names none."""
    if _CARD not in bundle.manifest.files:
        return []
    text = b"".join(checked_parts(bundle, _CARD, None, "reading")).decode("utf-8", "replace")
    header = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    named = header and re.search(r"^license:[ \t]*[\"']?([^\s\"'#]+)", header[1], re.MULTILINE)
    if not named:
        return []
    known = _SPDX.get(named[1].lower())
    return [{"license": {"id": known} if known else {"name": named[1]}}]


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _properties(values: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"name": f"rim-edge:{name}", "value": str(value)} for name, value in values.items()]


def as_text(bill: Mapping[str, Any]) -> str:
    """Return a bill as it is written to a file."""
    return json.dumps(bill, indent=2, ensure_ascii=False) + "\n"


def component_count(bill: Mapping[str, Any]) -> int:
    """Return how many components a bill lists, the nested ones and the tools that made the bundle among them."""

    def count(components: Iterable[Mapping[str, Any]]) -> int:
        return sum(1 + count(one.get("components", ())) for one in components)

    return count(bill["components"]) + sum(count(one["components"]) for one in bill["formulation"])
