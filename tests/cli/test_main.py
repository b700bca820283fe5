"""Exit codes, streams and usage: what holds for every verb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import errors

from rim_edge import cli

VERBS = ("ask", "demo", "export", "train", "prompt", "doctor", "bundle")


def test_help_names_every_verb(run: Callable[..., Any]) -> None:
    shown = run("--help")
    assert shown.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in shown.out
    assert "..." not in shown.out.partition("Commands:")[2], "a verb's line is cut"
    assert run("-h").out == shown.out


@pytest.mark.parametrize("verb", [*VERBS[:-1], *(f"bundle {verb}" for verb in ("list", "use", "info", "verify"))])
def test_every_verb_has_help_and_json(run: Callable[..., Any], verb: str) -> None:
    shown = run(*verb.split(), "--help")
    assert shown.code == 0
    assert "--json" in shown.out
    assert "_" not in "".join(word for word in shown.out.split() if word.startswith("--"))


def test_version(run: Callable[..., Any]) -> None:
    assert run("--version").out == f"rim-edge {metadata.version('rim-edge')}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["ask", "--nonsense"], ["demo", "--count", "0"], ["bundle", "use"]]
)
def test_bad_usage_exits_2(run: Callable[..., Any], arguments: list[str]) -> None:
    failed = run(*arguments)
    assert failed.code == 2
    assert not failed.out
    assert failed.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RimError("x"), 1),
        (errors.StorageError("x"), 1),
        (errors.BrokenLogitsError("ort-cpu", "int8"), 1),
        (errors.QuestionTooLongError(9, 8), 2),
        (errors.BundleNotFoundError("x"), 2),
        (errors.TargetExistsError("x"), 2),
        (errors.BundleCorruptError("x"), 3),
        (errors.SelfTestError("x"), 3),
        (errors.EngineUnavailableError("x"), 4),
        (errors.MissingExtraError("torch", "pip install x", "Exporting"), 4),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert cli.exit_code(error) == code


def test_a_reader_that_goes_away_is_no_drama(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "rim_edge", "ask", "Why?", "--bundle", str(tiny_bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout and child.stderr
        child.stdout.close()
        told = child.stderr.read()
    assert b"Traceback" not in told
    assert b"BrokenPipe" not in told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("form", ["--json", "--raw"])
def test_an_answer_that_cannot_be_written_exits_1(tiny_bundle: Path, form: str) -> None:
    command = [sys.executable, "-m", "rim_edge", "ask", "Why?", form, "--engine", "ort-cpu"]
    command += ["--bundle", str(tiny_bundle)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: [Errno 28] No space left on device\n"


def test_an_interrupt_exits_130(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path
) -> None:
    from rim_runtime import Engine

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "load", interrupt)
    stopped = run("ask", "Why?", "--bundle", str(tiny_bundle))
    assert (stopped.code, stopped.out) == (130, "")
    assert "Traceback" not in stopped.err


def test_ascii_terminals_get_an_answer(tiny_bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rim_edge", "ask", "Why?\nA: café\nB: tea", "--bundle", str(tiny_bundle)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()


def test_the_answer_needs_neither_torch_nor_onnx(tiny_bundle: Path) -> None:
    code = """
import json, sys
from rim_edge.cli import main
try:
    main(["ask", "Why?", "-r", "--bundle", sys.argv[1]])
finally:
    heavy = ("torch", "transformers", "onnx", "huggingface_hub", "rim_export")
    print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_bundle)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[1]) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without telling them")
def test_told_to_end_it_leaves_no_half_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rim_edge", "train", "--preset", "demo", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out.progress/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(tmp_path.glob("out.progress")), "training never began"
    process.terminate()
    assert process.wait(60) == 143
    assert not list(tmp_path.glob("*out*"))
