"""Wrong usage is one line in plain words; under --json every error is an object on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

WRONG: dict[str, tuple[list[str], str]] = {
    "no such verb": (["asks"], "There is no verb 'asks' of rim-edge, expected one of: ask, "),
    "near a verb": (["exprt"], "Did you mean export?"),
    "a question alone": (["What is scurvy?"], 'To ask a question: rim-edge ask "…"'),
    "a question without quotes": (["Why", "is", "it?"], 'To ask a question: rim-edge ask "…"'),
    "no such verb of bundle": (["bundle", "lst"], "There is no verb 'lst' of rim-edge bundle"),
    "a question in pieces": (["ask", "Why", "is", "it?"], "Write the question in quotes"),
    "no such option": (["demo", "--cuont", "3"], "There is no option '--cuont'. Did you mean --count?"),
    "no such short option": (["demo", "-x"], "There is no option '-x'"),
    "an option before its verb": (["--bundle", "demo", "ask", "Why?"], "A verb's options stand after it"),
    "half a number": (
        ["ask", "Why?", "--blocks", "1.5"],
        "--blocks is '1.5', expected a whole number of at least 0",
    ),
    "no number": (["demo", "-n", "x"], "--count is 'x', expected a whole number of at least 1"),
    "nothing for a number": (["demo", "-n", ""], "--count is '', expected a whole number of at least 1"),
    "below zero": (["ask", "Why?", "--blocks", "-1"], "--blocks is '-1', expected a whole number of at least 0"),
    "too few": (["demo", "-n", "0"], "--count is '0', expected a whole number of at least 1"),
    "too much": (["export", "--max-flips", "1.5"], "--max-flips is '1.5', expected a number from 0 to 1"),
    "not a number": (["export", "--max-flips", "nan"], "--max-flips is 'nan', expected a number from 0 to 1"),
    "an infinite temperature": (
        ["rollouts", "-m", "x", "-o", "y", "--temperature", "inf"],
        "--temperature is 'inf', expected a finite number of at least 0.01",
    ),
    "a sampled one": (["eval", "x", "--temperature", "1e999"], "--temperature is 'inf', expected a finite number"),
    "infinitely slower": (
        ["bench", "--allowed", "inf"],
        "--allowed is 'inf', expected a finite number of at least",
    ),
    "for ever": (["serve", "--seconds", "inf"], "--seconds is 'inf', expected a finite number of at least 0.1"),
    "none of several": (
        ["eval", "x", "--pass-at", "0"],
        "--pass-at is '0', expected a whole number of at least 1",
    ),
    "no such engine": (
        ["ask", "Why?", "--engine", "ortcpu"],
        "--engine is 'ortcpu', expected one of: auto, ort-cpu",
    ),
    "near an engine": (["ask", "Why?", "--engine", "ortcpu"], "Did you mean ort-cpu?"),
    "capitals": (["ask", "Why?", "--precision", "INT8"], "Did you mean int8?"),
    "no such family": (["demo", "--family", "riddles"], "--family is 'riddles', expected one of: rooms, "),
    "no such size": (["export", "--block-size", "64"], "--block-size is '64', expected one of: 32, 128"),
    "no value": (["demo", "--count"], "Option '--count' requires an argument"),
    "a value too many": (["demo", "--json=1"], "Option '--json' does not take a value"),
    "no bundle": (["bundle", "use"], "Missing argument 'BUNDLE'"),
    "an empty name": (["ask", "Why?", "-b", ""], "The bundle's name is empty"),
    "nowhere to copy to": (["bundle", "copy", "demo", ""], "DIR: the path is empty, expected a new one."),
    "nowhere to export to": (["export", "-o", ""], "--output: the path is empty, expected a new one."),
    "nowhere to train to": (["train", "-o", ""], "--output: the path is empty, expected a new one."),
    "nowhere to save to": (["eval", "rows.jsonl", "--save", ""], "--save: the path is empty, expected a new one."),
    "long and coloured": (["demo", "--family", "\x1b[31m" + "x" * 500], "--family is '\\x1b[31mxxx"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage(run: Run, case: str) -> None:
    arguments, message = WRONG[case]
    failed = run(*arguments)
    assert (failed.code, failed.out) == (2, "")
    assert message in failed.err
    assert failed.err.startswith("error: ")
    assert failed.err.count("\n") == 1
    assert len(failed.err) < 300
    for foreign in ("Invalid value", "Input should be", "Usage:", "Value error", "?.", ".."):
        assert foreign not in failed.err.replace("0..K", "")


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_as_json(run: Run, case: str) -> None:
    arguments, _ = WRONG[case]
    failed = run(*arguments, "--json")
    assert failed.code == 2
    assert set(failed.json) == {"schema_version", "error"}
    error = failed.json["error"]
    assert set(error) == {"code", "kind", "message"}
    assert error["code"] == 2
    assert error["kind"] == ("bundle-not-found" if case == "an empty name" else "usage")
    assert failed.err == f"error: {error['message']}\n"


@pytest.mark.parametrize(
    ("raised", "code", "kind"),
    [
        (PermissionError(13, "Permission denied", "x"), 1, "permission"),
        (OSError(28, "No space left on device"), 1, "os"),
        (RuntimeError("nobody foresaw this"), 1, "runtime"),
        (RecursionError(), 1, "recursion"),
    ],
)
def test_what_goes_wrong_is_json_too(
    run: Run, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, raised: Exception, code: int, kind: str
) -> None:
    from rim_runtime import Engine

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(Engine, "load", fail)
    failed = run("ask", "Why?", "--json", "--bundle", str(tiny_bundle))
    assert failed.code == code
    assert failed.json["error"]["kind"] == kind
    assert failed.err == f"error: {failed.json['error']['message']}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["ask", "", "--json"], 2, "question"),
        (["ask", "x " * 2_000, "--json"], 2, "question-too-long"),
        (["bundle", "info", "nothing", "--json"], 2, "bundle-not-found"),
        (["ask", "Why?", "--json", "--engine", "ort-cuda"], 4, "engine-unavailable"),
        (["ask", "--json", "--", "--json"], 0, ""),
        (["ask", "--", "--json"], 0, None),
    ],
)
def test_our_errors_are_json(
    run: Run, demo_bundle: Path, arguments: list[str], code: int, kind: str | None
) -> None:
    done = run(*arguments)
    assert done.code == code
    if kind:
        assert done.json["error"]["kind"] == kind
    elif kind == "":
        assert "letter" in done.json


def test_a_corrupt_bundle_is_json(run: Run, tiny_bundle: Path) -> None:
    (tiny_bundle / "LICENSE").write_text("unkn0wn\n")
    failed = run("bundle", "verify", str(tiny_bundle), "--json")
    assert (failed.code, failed.json["error"]["kind"]) == (3, "bundle-corrupt")
    assert json.loads(failed.out)["error"]["code"] == 3
