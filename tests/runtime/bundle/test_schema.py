"""Bundles of later releases: what an older one reads, and what it says of those that it cannot read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Bundle, BundleCorruptError, BundleVersionError, Engine
from rim_runtime.bundle.copying import copy_bundle
from rim_runtime.bundle.folder import MANIFEST, save_manifest
from rim_runtime.bundle.manifest import Manifest

from tests.places import DEMO_FOLDER

MakeBundle = Callable[..., Path]


def later(value: Any) -> Any:
    """Add a key that nobody knows to every object of a manifest, at every depth."""
    if isinstance(value, dict):
        return {"unknown": {"deep": [1, None]}} | {name: later(inner) for name, inner in value.items()}
    return [later(inner) for inner in value] if isinstance(value, list) else value


def make_later(bundle: Path, **changed: Any) -> None:
    path = bundle / MANIFEST
    body = later(json.loads(path.read_text(encoding="utf-8"))) | {"schema_version": 2} | changed
    path.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")


@pytest.mark.parametrize(
    ("tools", "made"),
    [
        ({"rim-edge": "9.7.3", "new": 1}, "has schema version 2 (made by rim-edge 9.7.3), this release reads 1 ("),
        ({"rim-edge": "\x1b[31m" + "9" * 100}, r"(made by rim-edge \x1b[31m99999"),
        ({"rim-edge": 9}, "has schema version 2, this release reads 1 ("),
        ("gone", "has schema version 2, this release reads 1 ("),
    ],
)
def test_a_later_schema_is_refused_before_anything_else(tiny_bundle: Path, tools: Any, made: str) -> None:
    make_later(tiny_bundle, tools=tools, files={}, variants="elsewhere")
    with pytest.raises(
        BundleVersionError, match="Upgrade rim-edge, or export the bundle with this release"
    ) as found:
        Engine.load(tiny_bundle)
    assert made in str(found.value)
    assert "\x1b" not in str(found.value)
    assert len(str(found.value)) < 400


def test_what_is_optional_may_stay_unread_and_is_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    optional = {"trace": {"file": "trace.onnx", "deep": [{"x": None}]}, "when": 1.5}
    extended = dataclasses.replace(manifest, optional=optional)
    save_manifest(tiny_bundle, extended)
    assert extended.sha256 != manifest.sha256, "it is hashed like everything else"
    with Engine.load(tiny_bundle) as engine:
        assert engine.ask("Why?").letter
    copy_bundle(Bundle.load(tiny_bundle), tmp_path / "copy")
    assert (tmp_path / "copy" / MANIFEST).read_bytes() == (tiny_bundle / MANIFEST).read_bytes()


def test_a_copy_is_of_the_manifest_that_was_read(tiny_bundle: Path, tmp_path: Path) -> None:
    """Its bytes are copied, so they must still be those of it; also where its hash is right."""
    bundle = Bundle.load(tiny_bundle)
    save_manifest(tiny_bundle, dataclasses.replace(bundle.manifest, name="another"))
    with pytest.raises(BundleCorruptError, match=r"manifest\.json was changed while it was read"):
        copy_bundle(bundle, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_unknown_key_elsewhere_is_a_fault(tiny_bundle: Path) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    body = json.loads(manifest.to_json())
    body["optional"] = "text"
    with pytest.raises(BundleCorruptError, match="altered"):
        Manifest.from_json(json.dumps(body), "it")
    save_manifest(tiny_bundle, dataclasses.replace(manifest, optional="text"))  # type: ignore[arg-type]
    with pytest.raises(BundleCorruptError, match="optional is 'text', expected"):
        Bundle.load(tiny_bundle)


def test_manifests_of_today_are_written_as_before() -> None:
    text = (DEMO_FOLDER / MANIFEST).read_text(encoding="utf-8")
    manifest = Manifest.from_json(text, MANIFEST)
    assert manifest.to_json() == text
    assert manifest.sha256 == json.loads(text)["manifest_sha256"]
