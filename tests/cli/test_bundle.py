"""`rim-edge bundle`, and which bundle a command means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Bundle, BundleNotFoundError

from rim_edge.bundles import Origin, resolve_bundle

Run = Callable[..., Any]
MakeBundle = Callable[..., Path]


@pytest.fixture
def mine(make_bundle: MakeBundle, own_home: Path) -> Path:
    """A bundle in the user's folder."""
    return make_bundle("mine", own_home / "bundles")


def test_list_is_the_contract(run: Run, demo_bundle: Path, mine: Path) -> None:
    assert run("bundle", "list", "--json").json == {
        "schema_version": 1,
        "bundles": [
            {"name": "demo", "path": str(demo_bundle), "default": True},
            {"name": "mine", "path": str(mine), "default": False},
        ],
    }
    assert "● demo" in run("bundle", "list").out


def test_halves_and_strangers_are_not_listed(run: Run, demo_bundle: Path, mine: Path) -> None:
    (mine.parent / ".new.x1").mkdir()
    (mine.parent / "empty").mkdir()
    assert [b["name"] for b in run("bundle", "list", "--json").json["bundles"]] == ["demo", "mine"]


def test_use_changes_what_ask_uses(run: Run, demo_bundle: Path, mine: Path, tiny_bundle: Path) -> None:
    assert run("bundle", "use", "mine").out == "'rim-edge ask' now uses mine.\n"
    answered = run("ask", "Why?", "--json")
    assert (answered.json["bundle"], answered.err) == ("mine", "")
    chosen = run("bundle", "use", str(tiny_bundle), "--json").json
    assert chosen == {"schema_version": 1, "name": str(tiny_bundle), "path": str(tiny_bundle), "default": True}
    assert run("ask", "Why?", "--json").json["bundle"] == "tiny"
    assert [b["default"] for b in run("bundle", "list", "--json").json["bundles"]] == [False, False, True]
    assert run("bundle", "use", "demo").code == 0
    assert run("ask", "Why?", "--json").json["bundle"] == "demo-bundle"


def test_use_refuses_what_is_no_bundle(run: Run, demo_bundle: Path, tmp_path: Path, own_home: Path) -> None:
    failed = run("bundle", "use", "nothing")
    assert failed.code == 2
    assert "There is no bundle 'nothing', neither a folder nor one of: demo." in failed.err
    assert run("bundle", "use", str(tmp_path)).code == 2
    assert not (own_home / "state.json").exists()


def test_the_order_of_choosing(
    demo_bundle: Path, mine: Path, tiny_bundle: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (resolve_bundle().path, resolve_bundle().origin) == (demo_bundle, Origin.DEMO)
    run("bundle", "use", "mine")
    assert (resolve_bundle().path, resolve_bundle().origin) == (mine, Origin.CHOSEN)
    monkeypatch.setenv("RIM_EDGE_BUNDLE", str(tiny_bundle))
    assert (resolve_bundle().path, resolve_bundle().origin) == (tiny_bundle, Origin.VARIABLE)
    assert (resolve_bundle("demo").path, resolve_bundle("demo").origin) == (demo_bundle, Origin.EXPLICIT)


def test_a_folder_here_named_like_a_bundle(
    demo_bundle: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert resolve_bundle("mine").path == mine
    assert resolve_bundle("./mine").path == Path("mine")
    mine.rename(here / "other")
    assert resolve_bundle("other").path == Path("other")


def test_a_default_that_is_gone_is_an_error(run: Run, demo_bundle: Path, mine: Path) -> None:
    run("bundle", "use", "mine")
    mine.rename(mine.parent / "renamed")
    with pytest.raises(BundleNotFoundError, match="the chosen default is 'mine'"):
        resolve_bundle()
    failed = run("ask", "Why?")
    assert failed.code == 2
    assert (
        "neither a folder nor one of: demo, renamed. Choose one of them (rim-edge bundle use NAME)" in failed.err
    )
    assert not any(entry["default"] for entry in run("bundle", "list", "--json").json["bundles"])


def test_a_variable_that_names_nothing_is_an_error(
    run: Run, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIM_EDGE_BUNDLE", "gone")
    assert "RIM_EDGE_BUNDLE names 'gone'" in run("ask", "Why?").err


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 1}'])
def test_a_damaged_state_file_says_how_to_mend_it(
    run: Run, demo_bundle: Path, mine: Path, own_home: Path, content: str
) -> None:
    (own_home / "state.json").write_text(content)
    failed = run("ask", "Why?")
    assert failed.code == 2
    assert "state.json cannot be read" in failed.err
    assert "rim-edge bundle use demo" in failed.err
    assert run("bundle", "use", "mine").code == 0
    assert run("ask", "Why?", "-r").code == 0


def test_info(run: Run, tiny_bundle: Path) -> None:
    body = run("bundle", "info", str(tiny_bundle), "--json").json
    manifest = Bundle.load(tiny_bundle).manifest
    assert body["schema_version"] == 1
    assert (body["name"], body["path"]) == ("tiny", str(tiny_bundle))
    assert (body["blocks"], body["memory_tokens"], body["letters"]) == (8, 2, "ABCDEFGHIJ")
    assert body["manifest_sha256"] == manifest.sha256
    assert body["manifest_sha256"] == json.loads((tiny_bundle / "manifest.json").read_text())["manifest_sha256"]
    assert body["variants"][0]["precision"] == "fp32"
    shown = run("bundle", "info", str(tiny_bundle)).out
    assert "variants  fp32 (letters, " in shown
    assert "at most 512 tokens" in shown


def test_verify(run: Run, tiny_bundle: Path) -> None:
    (tiny_bundle / "mine.txt").write_text("x")
    body = run("bundle", "verify", str(tiny_bundle), "--json").json
    assert (body["ok"], body["unlisted"]) == (True, ["mine.txt"])
    assert "tokenizer.json" in body["files"]
    shown = run("bundle", "verify", str(tiny_bundle))
    assert "files are whole" in shown.out
    assert "Not part of the bundle, and never read: mine.txt" in shown.out
    (tiny_bundle / "LICENSE").write_text("unkn0wn\n")
    failed = run("bundle", "verify", str(tiny_bundle))
    assert (failed.code, failed.out) == (3, "")
    assert "LICENSE was altered" in failed.err
