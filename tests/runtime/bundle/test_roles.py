"""Graph roles in a manifest: what is read of them, what is refused, what other releases make of them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import BundleCorruptError, Engine
from rim_runtime.bundle.folder import Bundle, file_entries, save_manifest
from rim_runtime.bundle.manifest import Dialect
from rim_runtime.bundle.roles import (
    Ability,
    Cache,
    Decoding,
    Role,
    RoleGraph,
    abilities,
    decoding,
    graph_of,
    optional_entries,
    role_graphs,
)

DECODER = "model.fp32.decoder.onnx"
GEOMETRY = Decoding(2, 1, 8, 16, 100, (7,), Cache.BUFFER, (7, 8), {"9": "</think>"})
GRAPH = RoleGraph(Role.DECODER, "fp32", DECODER, Dialect.ORT)


def save(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """Add a decoder to a bundle: its single pass's own file, which reads the same weights."""
    bundle = Bundle.load(folder)
    shutil.copy(folder / bundle.manifest.variants[0].graph, folder / DECODER)
    entries = dict(optional_entries((GRAPH,), GEOMETRY))
    change(entries)
    files = file_entries(folder)
    save_manifest(folder, dataclasses.replace(bundle.manifest, files=files, optional=entries))


def test_a_decoder_is_found_with_its_variants_weights(tiny_bundle: Path) -> None:
    single = Bundle.load(tiny_bundle).manifest.variants[0]
    save(tiny_bundle)
    bundle = Bundle.load(tiny_bundle)
    found = graph_of(bundle.manifest, single, Role.DECODER)
    assert found is not None
    assert (found.graph, found.data, found.dialect) == (DECODER, single.data, Dialect.ORT)
    assert graph_of(bundle.manifest, single, Role.SINGLE_PASS) == single
    assert decoding(bundle.manifest) == GEOMETRY
    assert abilities(bundle.manifest) == (Ability.LETTER, Ability.TEXT)
    bundle.verify()
    with Engine.load(tiny_bundle) as engine:
        assert engine.ask("Why?").letter


def test_a_bundle_without_roles_answers_letters(tiny_bundle: Path) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    assert abilities(manifest) == (Ability.LETTER,)
    assert decoding(manifest) is None
    assert graph_of(manifest, manifest.variants[0], Role.DECODER) is None


def test_what_later_releases_add_is_left_unread(tiny_bundle: Path) -> None:
    def later(entries: dict[str, Any]) -> None:
        entries["graphs"] += [{"role": "later", "variant": "fp32", "file": "elsewhere", "deep": [None]}]
        entries["graphs"][0]["new"] = 1
        entries["decoding"]["later"] = {"steps": 6}

    save(tiny_bundle, later)
    assert role_graphs(Bundle.load(tiny_bundle).manifest) == (GRAPH,)


def update(key: str, **values: object) -> Callable[[dict[str, Any]], object]:
    def change(entries: dict[str, Any]) -> None:
        (entries[key][0] if key == "graphs" else entries[key]).update(values)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (update("graphs", variant="int8"), "impossible values in graphs"),
        (update("graphs", role="single_pass"), "impossible values in graphs"),
        (update("graphs", graph="elsewhere.onnx"), "lists no elsewhere.onnx"),
        (update("graphs", dialect="latin"), "dialect is 'latin'"),
        (lambda entries: entries["graphs"].append(entries["graphs"][0]), "impossible values in graphs"),
        (lambda entries: entries.update(graphs="none"), "expected a list"),
        (lambda entries: entries.update(graphs=["none"]), "RoleGraph has none"),
        (lambda entries: entries.pop("decoding"), "impossible values in decoding"),
        (lambda entries: entries.pop("graphs"), "impossible values in decoding"),
        (update("decoding", stop_ids=[]), "impossible values in decoding"),
        (update("decoding", stop_ids=[100]), "impossible values in decoding"),
        (update("decoding", control_ids=[-1]), "impossible values in decoding"),
        (update("decoding", shown_tokens={"x": "y"}), "impossible values in decoding"),
        (update("decoding", layers=0), "impossible values in decoding"),
        (update("decoding", width="16"), "width is '16'"),
    ],
)
def test_impossible_roles_are_refused(
    tiny_bundle: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    save(tiny_bundle, change)
    with pytest.raises(BundleCorruptError, match=said):
        Bundle.load(tiny_bundle)
