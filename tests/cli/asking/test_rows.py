"""`rim-edge ask --jsonl`: rows in, answers out, one by one; and JSON that comes where a text is expected."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, EngineFailedError

from tests.places import REPOSITORY

Run = Callable[..., Any]
ROWS = [
    {"id": 7, "question": "Which one?", "options": ["this", "that"]},
    {"question": "Which one?", "choices": {"text": ["this", "that"], "label": ["1", "2"]}, "answerKey": ""},
    {"id": [1], "question": "Which one?", "opa": "this", "opb": "that", "cop": 2, "page": 3, "exp": "x"},
    {"question": "Where am I?", "page": 4},
]


def jsonl(rows: list[Any]) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


@pytest.fixture
def ask(run: Run, tiny_bundle: Path) -> Run:
    return lambda *arguments, **options: run("ask", "--bundle", str(tiny_bundle), *arguments, **options)


def test_each_row_has_its_answer_in_order(ask: Run, tiny_bundle: Path) -> None:
    answered = ask("--jsonl", "--blocks", "3", stdin=b"\xef\xbb\xbf" + jsonl(ROWS))
    bodies = [json.loads(line) for line in answered.out.splitlines()]
    assert answered.code == 0
    assert [body.get("id", "none") for body in bodies] == [7, "none", [1], "none"]
    with Engine.load(tiny_bundle) as engine:
        expected = [
            *3 * [engine.ask("Which one?", ["this", "that"], blocks=3)],
            engine.ask("Where am I?", blocks=3),
        ]
    assert [body["letter_logits"] for body in bodies] == [answer.letter_logits for answer in expected]
    assert [list(body["probabilities"]) for body in bodies] == [*3 * [["A", "B"]], list("ABCDEFGHIJ")]
    assert answered.err.count("ignored keys: page") == 1


BAD_ROWS: dict[str, tuple[Any, str, str]] = {
    "no JSON": ("nope", "row", "no JSON"),
    "an infinite number": ('{"id": 1e999, "question": "Q"}', "row", "no JSON (1e999 stands in it"),
    "no object": ("[1]", "row", "found list, expected an object"),
    "eleven": (
        {"question": "Q", "options": [str(n) for n in range(11)]},
        "row",
        "choices is 11, expected 2 to 10",
    ),
    "misspelt": ({"question": "Q", "option": ["x", "y"]}, "row", "the key 'option', expected 'options'"),
    "unclear": ({"question": "Q\nA. x\nC. y"}, "question", "which letters it offers is not clear"),
    "long": ({"question": "x" * 600}, "question-too-long", "this bundle takes at most 512"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_has_an_error_in_its_place_and_the_others_go_on(ask: Run, case: str) -> None:
    row, kind, message = BAD_ROWS[case]
    given = {"id": "x", **row} if isinstance(row, dict) else row
    answered = ask("--jsonl", stdin=jsonl([ROWS[0], "", given, ROWS[3]]))
    first, failed, last = (json.loads(line) for line in answered.out.splitlines())
    assert answered.code == 2
    assert first["letter"] and last["letter"]
    assert failed.get("id") == ("x" if isinstance(row, dict) else None)
    assert (failed["line"], failed["error"]["code"], failed["error"]["kind"]) == (3, 2, kind)
    assert message in failed["error"]["message"]


def test_bytes_that_are_no_utf8_are_one_bad_row(ask: Run) -> None:
    answered = ask("--jsonl", stdin=b'{"question": "caf\xe9"}\n' + jsonl(ROWS[:1]))
    assert [("error" in json.loads(line)) for line in answered.out.splitlines()] == [True, False]


def test_the_first_failure_is_the_exit_code(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EngineFailedError("ort-cpu failed on 1 questions")

    monkeypatch.setattr(Engine, "ask", fail)
    answered = ask("--jsonl", stdin=jsonl([ROWS[0], "nope"]))
    assert answered.code == 1
    assert [json.loads(line)["error"]["kind"] for line in answered.out.splitlines()] == ["engine-failed", "row"]


@pytest.mark.parametrize("more", [("Why?",), ("-c", "a", "-c", "b"), ("--raw",), ("--blocks", "9")])
def test_what_rows_exclude_is_refused(ask: Run, more: tuple[str, ...]) -> None:
    refused = ask("--jsonl", *more, stdin=jsonl(ROWS))
    assert refused.code == 2
    assert '"letter"' not in refused.out


@pytest.mark.parametrize(
    "text",
    [
        '{"question": "Is it?", "options": ["yes", "no"]}',
        '{"question": "Is it?"}\n{"question": "Was it?"}\n',
        ' {\n "question": "Is it?"\n}',
        '[{"question": "Is it?"}]',
    ],
)
def test_json_in_a_pipe_is_no_question(ask: Run, text: str) -> None:
    refused = ask("--raw", stdin=text.encode())
    assert (refused.code, refused.out) == (2, "")
    assert "The input is JSON, expected the text of one question." in refused.err
    assert "rim-edge ask --jsonl" in refused.err
    assert ask(text, "--raw").code == 0, "as an argument it is a text"


@pytest.mark.parametrize("text", ["{1, 2} is a set. Of what?", "[1] says so. Why?", '"Why?"', "[1, 2]", "3"])
def test_other_text_in_a_pipe_is_asked(ask: Run, text: str) -> None:
    assert ask("--raw", stdin=text.encode()).code == 0


def test_each_answer_is_there_before_the_next_row_is_written(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "rim_edge", "ask", "--jsonl", "--bundle", str(tiny_bundle)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        for number in range(3):
            child.stdin.write(jsonl([{**ROWS[0], "id": number}]))
            child.stdin.flush()
            assert json.loads(child.stdout.readline())["id"] == number
        child.stdin.close()
        assert child.stdout.read() == b""
    assert child.returncode == 0


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_the_node_example(tiny_bundle: Path) -> None:
    command = [
        "node",
        str(REPOSITORY / "examples" / "ask.mjs"),
        str(tiny_bundle),
        sys.executable,
        "-m",
        "rim_edge",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("Which vitamin deficiency causes scurvy? Vitamin ")
    assert second.startswith("not answered: The number of choices is 1, expected 2 to 10.")
