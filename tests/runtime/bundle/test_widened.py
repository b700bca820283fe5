"""What was kept wider in a bundle: read from its manifest with care, and said in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rim_runtime.bundle.folder import Bundle, save_manifest
from rim_runtime.bundle.widened import TABLE, WIDENED, counted, in_words, widened_parts

SOME = {TABLE: "bf16", "layers.1.mlp.down_proj": "fp32"}


def test_it_is_read_back_from_a_saved_manifest(tiny_bundle: Path) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    name = manifest.variants[0].name
    assert widened_parts(manifest, name) == {}, "bundles without it say so"
    save_manifest(tiny_bundle, dataclasses.replace(manifest, optional={WIDENED: {name: SOME}}))
    read = Bundle.load(tiny_bundle).manifest
    assert widened_parts(read, name) == SOME
    assert widened_parts(read, "another") == {}


@pytest.mark.parametrize("other", ["text", None, 3, {"int8": ["layers.1"]}, {"int8": {"layers.1": 2}}])
def test_what_another_release_says_there_is_left_unread(tiny_bundle: Path, other: Any) -> None:
    manifest = dataclasses.replace(Bundle.load(tiny_bundle).manifest, optional={WIDENED: other})
    save_manifest(tiny_bundle, manifest)
    assert widened_parts(Bundle.load(tiny_bundle).manifest, "int8") == {}


def test_in_words() -> None:
    assert in_words(SOME) == "the embedding table in bf16; layers.1.mlp.down_proj in fp32"
    assert in_words({TABLE: "fp32", "a": "fp32", "b": "int8"}) == "the embedding table and a in fp32; b in int8"
    assert in_words(dict.fromkeys("abcdef", "fp32")) == "a, b, c, d, e and f in fp32"
    assert in_words(dict.fromkeys("abcdefgh", "fp32")) == "a, b, c, d, e and 3 more in fp32"
    assert (counted({"a": "fp32"}), counted(SOME)) == ("1 part", "2 parts")
