"""Exit codes, streams and usage: what holds for every verb."""

from __future__ import annotations

import json
import os
import signal
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


def test_a_reader_that_goes_away_is_no_drama(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "rim_edge", "ask", "Why?", "--bundle", str(tiny_bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout and child.stderr
        child.stdout.close()
        told = child.stderr.read()
    assert b"Traceback" not in told
    assert b"BrokenPipe" not in told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("form", ["--json", "--raw", "--no-choices"])
def test_an_answer_that_cannot_be_written_exits_1(tiny_bundle: Path, form: str) -> None:
    command = [sys.executable, "-m", "rim_edge", "ask", "Why?", form, "--engine", "ort-cpu"]
    command += ["--bundle", str(tiny_bundle)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    assert done.returncode == 1
    told = "error: Standard output cannot be written (No space left on device), so what was printed is not whole."
    assert done.stderr.startswith(told) and done.stderr.count("\n") == 1


def test_an_interrupt_exits_130(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path
) -> None:
    from rim_runtime import Engine

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "load", interrupt)
    asked = ("ask", "Why?", "--bundle", str(tiny_bundle))
    stopped = run(*asked)
    assert (stopped.code, stopped.out, stopped.err) == (130, "", "")
    stopped = run(*asked, "--json")
    message = "It was interrupted before it was done."
    assert stopped.json["error"] == {"code": 130, "kind": "interrupted", "message": message}
    assert (stopped.code, stopped.err) == (130, f"error: {message}\n")
    stopped = run(*asked[:1], *asked[2:], "--jsonl", stdin=b'{"question": "Why?"}')
    assert (stopped.code, stopped.out) == (130, ""), "each line belongs to a row"


def test_told_to_end_it_says_so_to_programs(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path
) -> None:
    from rim_runtime import Engine

    monkeypatch.setattr(Engine, "load", lambda *_, **__: cli._stop(signal.SIGTERM, None))
    asked = ("ask", "Why?", "--bundle", str(tiny_bundle))
    assert (run(*asked).code, run(*asked).out) == (143, "")
    stopped = run(*asked, "--json")
    assert (stopped.code, stopped.json["error"]["code"], stopped.json["error"]["kind"]) == (143, 143, "terminated")


def test_an_interrupt_while_the_command_line_is_imported_exits_130(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_start", interrupt)
    stopped = run("doctor")
    assert (stopped.code, stopped.out, stopped.err) == (130, "", "")


@pytest.mark.parametrize("error", [RuntimeError("no home"), KeyError("x"), RecursionError(), MemoryError("much")])
def test_what_nobody_foresaw_is_one_line_without_a_traceback(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, error: Exception
) -> None:
    from rim_runtime import Engine

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Engine, "load", fail)
    failed = run("ask", "Why?", "--bundle", str(tiny_bundle))
    assert (failed.code, failed.out) == (1, "")
    assert failed.err.startswith(f"error: {type(error).__name__}: {str(error) or 'without a word'} (test_main.py:")
    assert failed.err.endswith("All of it shows with: python -X dev -m rim_edge …\n")
    assert failed.err.count("\n") == 1


def test_what_was_noted_on_an_error_is_printed(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path
) -> None:
    from rim_runtime import Engine

    def fail(*_: object, **__: object) -> None:
        error = errors.QuestionTooLongError(9, 8)
        error.add_note("This is question 3 of 7.")
        raise error

    monkeypatch.setattr(Engine, "ask", fail)
    failed = run("ask", "Why?", "--bundle", str(tiny_bundle))
    assert failed.code == 2
    assert failed.err.endswith("never cuts a question. This is question 3 of 7.\n")


@pytest.mark.skipif(os.name == "nt", reason="the shell closes streams")
@pytest.mark.parametrize(("closed", "code", "answered"), [("<&-", 0, True), ("2>&-", 0, True), (">&-", 1, False)])
def test_missing_streams(tiny_bundle: Path, closed: str, code: int, answered: bool) -> None:
    """As services and windowed programs have them: Python has None for each."""
    command = f'exec "$0" -m rim_edge ask Why? -r --bundle "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(tiny_bundle)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout.strip() in tuple("ABCDEFGHIJ")) is answered
    if not answered:
        assert done.stderr == (
            "error: Standard output is closed, so what was printed is lost. Redirect it to a file.\n"
        )


@pytest.mark.skipif(os.name == "nt", reason="the shell closes streams")
def test_no_input_at_all_is_no_question(tiny_bundle: Path) -> None:
    command = 'exec "$0" -m rim_edge ask --bundle "$1" <&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(tiny_bundle)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: The question is empty")


@pytest.mark.parametrize(("verb", "code"), [("ask", 1), ("nonsense", 2)])
def test_all_streams_may_be_none(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, verb: str, code: int) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "Why?", "--bundle", str(tiny_bundle)])
    sys.stderr.close()  # what stands for it
    assert stopped.value.code == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_notes_that_nobody_can_read_do_not_cost_the_answer(tiny_bundle: Path) -> None:
    folder = tiny_bundle.parent / "file"
    folder.touch()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rim_edge", "ask", "Why?", "-r", "--bundle", str(tiny_bundle)],
            env=os.environ | {"RIM_EDGE_HOME": str(folder)},  # cannot be written: there is a note
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
            timeout=300,
        )
    assert (done.returncode, done.stdout.strip() in tuple("ABCDEFGHIJ")) == (0, True)


def test_ascii_terminals_get_an_answer(tiny_bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rim_edge", "ask", "Why?\nA: café\nB: tea", "--bundle", str(tiny_bundle)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
        timeout=300,
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
        [sys.executable, "-c", code, str(tiny_bundle)], capture_output=True, text=True, check=True, timeout=300
    )
    assert json.loads(done.stdout.splitlines()[1]) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without telling them")
def test_told_to_end_it_leaves_no_half_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rim_edge", "train", "--preset", "demo", "--output", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out.progress/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(tmp_path.glob("out.progress")), "training never began"
    process.terminate()
    assert process.wait(60) == 143
    assert {path.name for path in tmp_path.iterdir()} <= {"out.progress"}  # kept where a step was done
