"""`rim-edge bundle copy`, `optimum`, `remove`: whole or not at all, nothing that is not a bundle; .zip files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rim_runtime import Bundle, Engine

from tests.text_bundle import TextBundle, text_bundle

__all__ = ["text_bundle"]

Run = Callable[..., Any]
MakeBundle = Callable[..., Path]
QUESTION = "Which one?\nA: this\nB: that"


@pytest.fixture
def mine(make_bundle: MakeBundle, own_home: Path) -> Path:
    """A bundle in the user's folder."""
    return make_bundle("mine", own_home / "bundles")


def test_a_copy_answers_and_holds_nothing_else(run: Run, mine: Path, tmp_path: Path) -> None:
    (mine / "notes.txt").write_text("mine alone")
    target = tmp_path / "new" / "copy"
    body = run("bundle", "copy", "mine", str(target), "--json").json
    size = sum(path.stat().st_size for path in target.iterdir() if path.name != "manifest.json")
    assert body == {
        "schema_version": 1, "name": "mine", "source": str(mine), "path": str(target), "bytes": size,
    }  # fmt: skip
    copied = Bundle.load(target)
    copied.verify()
    assert copied.manifest.sha256 == Bundle.load(mine).manifest.sha256
    assert not copied.unlisted_files()
    assert [path.name for path in target.parent.iterdir()] == ["copy"]
    with Engine.load(target) as engine:
        assert engine.ask("Why?").letter
    assert "is at" in run("bundle", "copy", "mine", str(tmp_path / "other")).out


@pytest.mark.parametrize(
    "wrong", ["there already", "inside itself", "altered", "unreadable", "no room", "no bundle"]
)
def test_what_cannot_be_copied_leaves_nothing(
    run: Run, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    target, source, code, message = tmp_path / "copy", "mine", 2, ""
    if wrong == "there already":
        target.mkdir()
        message = "already exists"
    elif wrong == "inside itself":
        target, message = mine / "copy", "lies inside the bundle"
    elif wrong == "altered":
        (mine / "LICENSE").write_text("unkn0wn\n")
        code, message = 3, "LICENSE was altered"
    elif wrong == "unreadable":
        (mine / "LICENSE").unlink()
        (mine / "LICENSE").mkdir()
        code, message = 3, "LICENSE"
    elif wrong == "no room":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=7))
        code, message = 1, "0 MB are free there. Nothing was copied"
    else:
        source, message = "nothing", "There is no bundle 'nothing'"
    before = sorted(tmp_path.rglob("*"))
    failed = run("bundle", "copy", source, str(target))
    assert (failed.code, failed.out) == (code, "")
    assert message in failed.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_for_optimum(run: Run, demo_bundle: Path, text_bundle: TextBundle, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    body = run("bundle", "optimum", str(text_bundle.path), str(target), "--json").json
    size = sum(path.stat().st_size for path in target.iterdir())
    assert body == {
        "schema_version": 1, "name": "writer", "path": str(target), "precision": "fp32", "bytes": size,
    }  # fmt: skip
    again = run("bundle", "optimum", str(text_bundle.path), str(target))
    assert (again.code, again.out) == (2, "")
    assert "already exists" in again.err
    letters = run("bundle", "optimum", "demo", str(tmp_path / "letters"))
    assert letters.code == 2
    assert "Export one with: rim-edge export --answers text" in letters.err
    assert list(target.parent.iterdir()) == [target]
    assert not (tmp_path / "letters").exists()


def test_removal_forgets_the_default(run: Run, demo_bundle: Path, mine: Path) -> None:
    run("bundle", "use", "mine")
    size = sum(path.stat().st_size for path in mine.iterdir())
    removed = run("bundle", "remove", "mine", "--yes")
    assert removed.out.startswith("mine is removed (")
    assert removed.err == "note: it was the default; 'rim-edge ask' now uses demo\n"
    assert list(mine.parent.iterdir()) == []
    assert [b["name"] for b in run("bundle", "list", "--json").json["bundles"]] == ["demo"]
    assert run("ask", "Why?", "--json").code == 0
    assert size


def test_removal_as_json_by_path_and_of_a_damaged_bundle(run: Run, mine: Path, make_bundle: MakeBundle) -> None:
    run("bundle", "use", "mine")
    other = make_bundle("other")
    (other / "LICENSE").write_text("damaged")
    (other / "tokenizer.json").unlink()
    size = sum(path.stat().st_size for path in other.iterdir())
    body = run("bundle", "remove", str(other), "--yes", "--json").json
    assert body == {
        "schema_version": 1, "name": str(other), "path": str(other), "bytes": size, "was_default": False,
    }  # fmt: skip
    assert not other.exists()
    assert run("ask", "Why?", "--json").json["bundle"] == "mine"


@pytest.mark.parametrize(
    ("typed", "gone"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_it_asks_on_a_terminal(run: Run, mine: Path, typed: str, gone: bool) -> None:
    done = run("bundle", "remove", "mine", typed=typed)
    assert done.err.startswith(f"Remove {mine} (")
    assert (done.code, mine.exists()) == ((0, False) if gone else (1, True))
    assert gone or "Nothing was removed" in done.err


def test_nobody_to_ask_is_no_consent(run: Run, mine: Path) -> None:
    failed = run("bundle", "remove", "mine", "--json", stdin=b"y\n")
    assert (failed.code, failed.json["error"]["kind"]) == (2, "usage")
    assert "Pass --yes" in failed.err
    assert mine.exists()


@pytest.mark.parametrize(
    "what", ["demo", "demo's folder", "no manifest", "another manifest", "garbled", "stranger", "link"]
)
def test_what_is_not_removed(run: Run, mine: Path, demo_bundle: Path, tmp_path: Path, what: str) -> None:
    folder, message = tmp_path / "folder", "is no bundle"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")
    given = str(folder)
    if what == "demo":
        given, message = "demo", "The demo is part of the installation"
    elif what == "demo's folder":
        given, message = f"{demo_bundle}/", "The demo is part of the installation"
    elif what == "another manifest":
        (folder / "manifest.json").write_text('{"name": "a web page"}')
    elif what == "garbled":
        (folder / "manifest.json").write_text("{")
        message = "cannot be read"
    elif what == "stranger":
        (mine / "thesis.txt").write_text("years")
        given, message = "mine", "holds what is no part of the bundle: thesis.txt"
    elif what == "link":
        link = mine.parent / "linked"
        link.symlink_to(mine, target_is_directory=True)
        given, message = "linked", "is a link to"
    before = sorted(tmp_path.rglob("*"))
    failed = run("bundle", "remove", given, "--yes")
    assert (failed.code, failed.out) == (2, "")
    assert message in failed.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_disk_that_refuses_leaves_it_whole(run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = sorted(mine.parent.rglob("*"))
    with monkeypatch.context() as refusing:
        refusing.setattr(os, "rename", refuse)
        refusing.setattr(Path, "rename", refuse)
        failed = run("bundle", "remove", "mine", "--yes")
    assert failed.code == 1
    assert "It is whole, as before" in failed.err
    assert sorted(mine.parent.rglob("*")) == before


@pytest.fixture
def zipped(tiny_bundle: Path, tmp_path: Path) -> Path:
    (tiny_bundle / "notes.txt").write_text("not of the bundle")
    return Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "tiny"))


def test_a_zip_is_asked_shown_and_scored(run: Run, zipped: Path, tiny_bundle: Path, tmp_path: Path) -> None:
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


def test_a_zip_is_unpacked_by_copy(run: Run, zipped: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    copied = run("bundle", "copy", str(zipped), str(target), "--json").json
    assert (copied["source"], copied["path"]) == (str(zipped), str(target))
    assert Bundle.load(target).manifest.sha256 == Bundle.load(tiny_bundle).manifest.sha256
    assert not (target / "notes.txt").exists()


def test_a_zip_may_be_the_default(run: Run, demo_bundle: Path, zipped: Path) -> None:
    assert run("bundle", "use", str(zipped)).code == 0
    assert run("ask", "Why?", "--json").json["bundle"] == "tiny"
    listed = {one["name"]: one for one in run("bundle", "list", "--json").json["bundles"]}
    assert listed[str(zipped)]["default"]
    assert listed[str(zipped)]["trouble"] is None
    told = {one["name"]: one for one in run("doctor", "--json").json["bundles"]}
    assert told[str(zipped)]["trouble"] is None


def test_what_is_wrong_with_a_zip_is_said(run: Run, zipped: Path) -> None:
    refused = run("bundle", "remove", str(zipped), "--yes")
    assert (refused.code, zipped.exists()) == (2, True)
    assert "is a file, expected a folder. Nothing was removed" in refused.err
    zipped.write_bytes(zipped.read_bytes()[:1000])
    for command in (("ask", "Why?", "-b"), ("bundle", "info"), ("bundle", "verify"), ("bundle", "use")):
        failed = run(*command, str(zipped))
        assert failed.code == 3
        assert failed.err.startswith(f"error: {zipped} cannot be read as a zip file")
