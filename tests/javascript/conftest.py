"""The examples in JavaScript, their packages installed; the demo's test vectors, with 200 puzzles among them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import REPOSITORY

PUZZLES = 200
OLDEST_NODE = 20
UNREACHED = ("ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "E403", "E404")
"""What npm says where the registry is not reached, or not allowed to be."""


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Give the folder of an example, installed as its README says, in a copy of the examples."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip(f"needs Node {OLDEST_NODE} or later and npm (Debian: apt-get install nodejs npm)")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"needs Node {OLDEST_NODE} or later, this is {version}")
    top = tmp_path_factory.mktemp("examples")
    installed: dict[str, Path] = {}

    def install(name: str) -> Path:
        if name not in installed:
            for part in {"javascript", name} - {path.name for path in top.iterdir()}:
                without = shutil.ignore_patterns("node_modules", "site")
                shutil.copytree(REPOSITORY / "examples" / part, top / part, ignore=without)
            _install(top / name)
            installed[name] = top / name
        return installed[name]

    yield install
    shutil.rmtree(top)  # 430 MB, which pytest would keep for three runs


def _install(folder: Path) -> None:
    command = ["npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode and any(f"code {word}" in done.stderr for word in UNREACHED):
        pytest.skip(f"needs the npm registry, which is not reached from here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    assert not (folder / "package-lock.json").exists(), "it would name a registry"


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `rim-edge bundle vectors demo --rows`, with as many puzzles."""
    folder = tmp_path_factory.mktemp("vectors")
    rows = [puzzle.row() for puzzle in fresh_puzzles(PUZZLES, seed=15)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "rim_edge", "bundle", "vectors", "demo", str(folder / "vectors.json")]
    subprocess.run(
        [*command, "--rows", str(folder / "rows.jsonl")],
        env={**os.environ, "RIM_EDGE_HOME": str(folder / "home")},
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder / "vectors.json"
