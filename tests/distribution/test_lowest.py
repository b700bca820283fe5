"""The wheel in a clean environment with the lowest versions that it permits answers as here.

Of what it needs itself; what those packages need in turn is as pip finds it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from rim_runtime import Engine

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.distribution.conftest import Built
from tests.places import DEMO_FOLDER, REPOSITORY

pytestmark = pytest.mark.slow
EXTRAS = ("cpu", "serve")
UNREACHED = re.compile(r"Failed to establish|Could not fetch|\(from versions: none\)|timed out|ProxyError", re.I)


def lowest() -> dict[str, str]:
    """Return each package that pyproject.toml names for asking and serving, and its lowest version."""
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for e in EXTRAS for line in project["optional-dependencies"][e])]
    bounds = {}
    for requirement in map(Requirement, lines):
        (least,) = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        bounds[requirement.name] = least
    return bounds


@pytest.fixture(scope="module")
def program(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`rim-edge` in an environment that has nothing else."""
    folder = tmp_path_factory.mktemp("lowest")
    venv.create(folder, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(programs / "python"),
        "install",
        "--quiet",
        "--retries",
        "1",
    ]
    exact = [f"{name}=={version}" for name, version in lowest().items()]
    done = subprocess.run(
        [*pip, f"{built.wheel}[{','.join(EXTRAS)}]", *exact],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode and UNREACHED.search(done.stderr):
        pytest.skip("the package index is not reached, so the lowest versions cannot be installed")
    assert done.returncode == 0, done.stderr
    return programs / "rim-edge"


@pytest.fixture
def ask(program: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run the program in an empty folder and return what it printed as JSON."""

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [program, *arguments, "--json"],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        return json.loads(done.stdout)

    return run


def environment(home: Path) -> dict[str, str]:
    """Return this process's variables, without what would show it this checkout."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"RIM_EDGE_HOME": str(home / "home"), "NO_COLOR": "1"}


def test_they_are_the_lowest_and_nothing_of_here(program: Path) -> None:
    listing = [program.with_name("python"), "-m", "pip", "--version"]
    assert subprocess.run(listing, capture_output=True, check=False, timeout=60).returncode, "it has pip"
    script = (
        "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    )
    done = subprocess.run([program.with_name("python"), "-c", script], capture_output=True, check=True, timeout=60)
    there = {name.replace("_", "-").lower(): version for name, version in json.loads(done.stdout).items()}
    assert not {"torch", "transformers", "onnx"} & set(there)
    for name, version in lowest().items():
        assert Version(there[name.replace("_", "-").lower()]) == Version(version)


def test_it_answers_as_here(ask: Callable[..., Any]) -> None:
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        for puzzle in fresh_puzzles(3, 11):
            here, there = engine.ask(puzzle.question), ask("ask", puzzle.question)
            assert there["letter"] == here.letter
            assert there["probabilities"] == pytest.approx(dict(here.probabilities), abs=1e-3)


def test_doctor_and_verify(ask: Callable[..., Any]) -> None:
    seen = ask("doctor")
    assert [engine["name"] for engine in seen["engines"] if engine["available"]] == ["ort-cpu"]
    assert ask("bundle", "verify", "demo")["files"]


def test_it_serves(program: Path, tmp_path: Path) -> None:
    (puzzle,) = fresh_puzzles(1, 12)
    with subprocess.Popen(
        [program, "serve", "--bundle", "demo", "--port", "0", "--json"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout
            address = json.loads(server.stdout.readline())["listening"]
            body = json.dumps({"question": puzzle.question}).encode()
            request = urllib.request.Request(f"{address}/ask", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as reply:
                assert json.loads(reply.read())["letter"] == puzzle.answer
        finally:
            server.terminate()
        assert server.wait(30) == 0
