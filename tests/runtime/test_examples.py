"""The examples run as their first lines say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.places import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_ask(tiny_bundle: Path) -> None:
    lines = run("ask.py", tiny_bundle).splitlines()
    assert lines[0].partition(": ")[2].startswith("Vitamin ")
    assert re.search("(ort-cpu|openvino) at fp32", lines[1])


def test_many(tiny_bundle: Path, tmp_path: Path) -> None:
    rows = [
        {"question": "Which?\nA: a\nB: b", "answer": "A"},
        {"question": "Q", "options": ["x", "y"], "answer": "B"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run("many.py", tiny_bundle, tmp_path / "rows.jsonl").endswith(" of 2 right\n")


def test_the_test_example() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "test_my_app.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_service(tiny_bundle: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "service.py"), str(tiny_bundle), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        try:
            assert service.stdout
            address = service.stdout.readline().split()[-1]
            assert post(address, {"question": "Which?", "choices": ["a", "b"]})["choice"] in ("a", "b")
            assert "The question is empty" in post(address, {"question": ""})["error"]
            assert "question" in post(address, {})["error"]
        finally:
            service.terminate()


def post(address: str, body: object) -> dict[str, str]:
    request = urllib.request.Request(address, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            content = reply.read()
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
    found: dict[str, str] = json.loads(content)
    return found
