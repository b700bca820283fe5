"""The examples run as their first lines say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.places import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_ask(tiny_bundle: Path) -> None:
    lines = run("ask.py", tiny_bundle).splitlines()
    assert lines[0].partition(": ")[2].startswith("Vitamin ")
    assert re.search("(ort-cpu|openvino) at fp32", lines[1])


def test_many(tiny_bundle: Path, tmp_path: Path) -> None:
    rows = [
        {"question": "Which?\nA: a\nB: b", "answer": "A"},
        {"question": "Q", "options": {"A": "x", "B": "y"}, "answer": "B"},
        {"question": "Q", "choices": ["x", "y"], "answer": 1, "subject": "s"},
        {"question": "Q", "choices": ["x", "y"]},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run("many.py", tiny_bundle, tmp_path / "rows.jsonl").endswith(" of 3 right\n")


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("many.py", (), "usage: many.py path/to/bundle questions.jsonl\n"),
        ("many.py", ("nowhere", "nowhere.jsonl"), "error: There is no file nowhere.jsonl"),
        ("service.py", (), "usage: service.py path/to/bundle PORT\n"),
    ],
)
def test_wrong_use_is_said_in_a_line(name: str, arguments: tuple[str, ...], says: str) -> None:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


def test_the_test_example() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "test_my_app.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout


def test_service(tiny_bundle: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "service.py"), str(tiny_bundle), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        try:
            assert service.stdout
            address = service.stdout.readline().split()[-1]
            for options in ({"options": ["a", "b"]}, {"choices": {"A": "a", "B": "b"}}, {"A": "a", "B": "b"}):
                assert post(address, {"question": "Which?", **options})["choice"] in ("a", "b")
            for body, kind, message in BAD_BODIES:
                error = post(address, body)["error"]
                assert error["kind"] == kind
                assert message in error["message"]
        finally:
            service.terminate()


BAD_BODIES: list[tuple[object, str, str]] = [
    ({}, "row", "'question' is None, expected some text"),
    ([], "row", "found list, expected an object"),
    ({"question": "Which?", "option": ["a", "b"]}, "row", "the key 'option', expected 'options'"),
    ({"question": "Which?\nA. a\nC. b"}, "question", "which letters it offers is not clear"),
    ({"question": "x" * 600}, "question-too-long", "at most 512"),
]


def post(address: str, body: object) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            content = reply.read()
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
    return json.loads(content)
