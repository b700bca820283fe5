"""A .zip file wherever a command takes a bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Bundle

Run = Callable[..., Any]
QUESTION = "Which one?\nA: this\nB: that"


@pytest.fixture
def zipped(tiny_bundle: Path, tmp_path: Path) -> Path:
    (tiny_bundle / "notes.txt").write_text("not of the bundle")
    return Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "tiny"))


def test_it_is_asked_shown_and_scored(run: Run, zipped: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    of_zip, of_folder = (run("ask", QUESTION, "--json", "-b", str(place)).json for place in (zipped, tiny_bundle))
    assert of_zip["letter_logits"] == of_folder["letter_logits"]
    for arguments in (("info",), ("verify",)):
        shown, folder = (run("bundle", *arguments, str(p), "--json").json for p in (zipped, tiny_bundle))
        assert shown == folder | {"path": str(zipped)}
    assert shown["unlisted"] == ["notes.txt"]
    assert run("prompt", QUESTION, "-b", str(zipped)).out == run("prompt", QUESTION, "-b", str(tiny_bundle)).out
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"question": "Which?", "choices": ["this", "that"], "answer": "A"}))
    assert run("eval", str(rows), "-b", str(zipped), "--json").json["scored"]["path"] == str(zipped)


def test_it_is_unpacked_by_copy(run: Run, zipped: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    copied = run("bundle", "copy", str(zipped), str(target), "--json").json
    assert (copied["source"], copied["path"]) == (str(zipped), str(target))
    assert Bundle.load(target).manifest.sha256 == Bundle.load(tiny_bundle).manifest.sha256
    assert not (target / "notes.txt").exists()


def test_it_may_be_the_default(run: Run, demo_bundle: Path, zipped: Path) -> None:
    assert run("bundle", "use", str(zipped)).code == 0
    assert run("ask", "Why?", "--json").json["bundle"] == "tiny"
    listed = {one["name"]: one for one in run("bundle", "list", "--json").json["bundles"]}
    assert listed[str(zipped)]["default"]
    assert listed[str(zipped)]["trouble"] is None
    told = {one["name"]: one for one in run("doctor", "--json").json["bundles"]}
    assert told[str(zipped)]["trouble"] is None


def test_what_is_wrong_is_said(run: Run, zipped: Path) -> None:
    refused = run("bundle", "remove", str(zipped), "--yes")
    assert (refused.code, zipped.exists()) == (2, True)
    assert "is a file, expected a folder. Nothing was removed" in refused.err
    zipped.write_bytes(zipped.read_bytes()[:1000])
    for command in (("ask", "Why?", "-b"), ("bundle", "info"), ("bundle", "verify"), ("bundle", "use")):
        failed = run(*command, str(zipped))
        assert failed.code == 3
        assert failed.err.startswith(f"error: {zipped} cannot be read as a zip file")
