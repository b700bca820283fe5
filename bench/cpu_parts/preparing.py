"""Everything that is measured, made once: checkpoints, our bundles, the peers' environments and models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from cpu_parts.checkpoint import make_checkpoint
from cpu_parts.environments import make_environment
from cpu_parts.ours import FP32, INT8, VARIANTS, export_bundle
from cpu_parts.peers.genai import PRECISIONS, make_genai
from cpu_parts.peers.llama_cpp import TYPES, make_llama_cpp
from cpu_parts.peers.nncf import make_nncf
from harness.made import CannotMakeError
from harness.place import Place

Maker = Callable[[], dict[str, Any]]


def makers(place: Place) -> dict[str, Maker]:
    """Return what is to be made, in order: {name: maker}."""
    layers, small = place.layers, place.slice_layers
    wanted: dict[str, Maker] = {f"checkpoint-{count}": _checkpoint(place, count) for count in {layers, small}}
    exports = [(variant, layers) for variant in VARIANTS] + [(variant, small) for variant in (INT8, FP32)]
    for variant, count in exports:
        wanted[f"ours-{variant.name}-{count}"] = lambda v=variant, n=count: export_bundle(place, v, n)  # type: ignore[misc]
    for kind in TYPES:
        wanted[f"llama_cpp-{kind}"] = lambda k=kind: make_llama_cpp(place, layers, k)  # type: ignore[misc]
    for precision in PRECISIONS:
        wanted[f"genai-{precision}"] = lambda p=precision: make_genai(place, layers, p)  # type: ignore[misc]
    wanted[f"nncf-{small}"] = lambda: make_nncf(place, small)
    wanted["plot"] = lambda: _environment(place, "plot")
    return wanted


def prepare(place: Place, wanted: Iterable[str]) -> dict[str, str]:
    """Make what is wanted; return the reasons of what could not be made."""
    failed = {}
    for name, make in makers(place).items():
        if name not in wanted:
            continue
        figures = make()
        if "failed" in figures:
            failed[name] = figures["failed"]
        told = figures.get("failed") or f"{figures.get('seconds', 0)} s, peak {figures.get('peak_gib', '?')} GiB"
        print(f"{name}: {told}", file=sys.stderr)
    return failed


def _checkpoint(place: Place, layers: int) -> Maker:
    def make() -> dict[str, Any]:
        make_checkpoint(place.checkpoint(layers), place.tokenizer, layers)
        return {}

    return make


def _environment(place: Place, name: str) -> dict[str, Any]:
    try:
        make_environment(place, name)
    except CannotMakeError as error:
        return {"failed": str(error)}
    return {}
