"""README's and docs' blocks run from an installed wheel, in an empty folder, as a user would run them."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family
from tests.docs.page_blocks import PAGES, blocks
from tests.places import REPOSITORY

pytestmark = pytest.mark.slow

NOT_RUN = {
    r"pip install|hf download": "needs the network",
    r"python examples/smollm2/make\.py": "fetches a model: tests/runtime/test_smollm2.py",
    r"rim-edge export": "needs torch and a checkpoint: tests/cli/test_export.py",
    r"rim-edge train": "takes minutes: tests/cli/test_training_path.py",
    r"rim-edge merge": "needs an adapter: tests/train/model/test_adapter.py",
    r"rim-edge rollouts": "needs a checkpoint: tests/cli/test_qthink_path.py",
    r"^rim-edge serve": "runs until it is told to end: tests/serving/test_serve.py",
    r"^curl": "needs a server: tests/serving",
    r"rim-edge eval .*--model": "needs a trained checkpoint: tests/cli/test_training_path.py",
    r"rim-edge eval gsm8k": "needs a bundle that writes text: tests/cli/evaluating",
    r"--(temperature|readout|latent-steps)|-b qthink": "needs a bundle that writes text: tests/cli/asking",
    r"rim-edge bundle optimum": "needs a decoder: tests/cli/test_bundle_files.py",
    r"rim-edge bundle (sign|verify .*--key|trust .*--key)": "needs a key: tests/cli/bundling/test_signing.py",
    r"^openssl": "makes a key, which tests/cli/bundling/test_signing.py makes by itself",
    r"^tritonserver": "needs a Triton server: tests/cli/bundling/test_triton.py",
    r"^python examples/ray": "needs Ray: tests/runtime/test_ray.py",
    r"rim-edge bundle remove mine$": "asks on a terminal: tests/cli/test_bundle_files.py",
    r"rim_edge\.harness": "needs lm-eval: tests/harness",
    r"python -m experiments": "needs a checkout",
}
"""Commands of these forms are not run, and why."""
CARD = """
data = [{name = "puzzles", file = "test.jsonl"}]
ways = [{name = "RiM", way = "letter"}]
models = [{name = "demo", bundle = "demo", engine = "ort-cpu"}]
"""
"""What `rim-edge eval --card card.toml` reads."""
DRIVER = """
import doctest, json, os, shlex, subprocess, sys
import rim_edge, rim_export, rim_runtime
from rim_edge.cli import main

assert os.path.dirname(rim_edge.__file__).startswith(sys.prefix), rim_edge.__file__
work = json.load(sys.stdin)
failed = []
for command in work["commands"]:
    if "|" in command or "<" in command:
        code = subprocess.run(command, shell=True, stdout=sys.stderr).returncode
    else:
        try:
            with open(os.devnull, "w") as nowhere:
                sys.stdout = nowhere
                main(shlex.split(command, comments=True)[1:])
        except SystemExit as stopped:
            code = stopped.code
        finally:
            sys.stdout = sys.__stdout__
    if code:
        failed.append([code, command])
for text in work["python"]:
    test = doctest.DocTestParser().get_doctest(text, {}, "block", None, 0)
    if doctest.DocTestRunner().run(test).failed:
        failed.append([1, text])
print(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment's programs: this wheel, and beside it the packages that are installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True, timeout=600)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=os.name != "nt")
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True, timeout=600)
    (own,) = (folder / "venv").rglob("site-packages")
    (own / "others.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )  # not its .pth files: no editable install
    return programs


def commands() -> list[str]:
    pages = {page.relative_to(REPOSITORY).as_posix() for page in PAGES}
    return [command for block in blocks("console") if block.page in pages for command in block.commands]


def test_the_blocks_run(installed: Path, tmp_path: Path) -> None:
    run = [command for command in commands() if not any(re.search(form, command) for form in NOT_RUN)]
    assert len(run) >= 20
    empty = tmp_path / "empty"
    empty.mkdir()
    rows = [{"question": p.question, "answer": p.answer} for p in fresh_puzzles(3, 7, Family.ORDERING)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (empty / "test.jsonl").write_text(text)
    (empty / "test.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (empty / "card.toml").write_text(CARD)
    labelled = [puzzle.row() for puzzle in fresh_puzzles(60, 7)]
    (empty / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    home = tmp_path / "home"
    first = [
        f"rim-edge bundle copy demo {target}"
        for target in ("path/to/bundle", "my-bundle", home / "bundles" / "mine")
    ]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(installed / "python"), "-c", DRIVER],
        input=json.dumps({"commands": first + run, "python": [block.text for block in blocks("python")]}),
        cwd=empty,
        env=environment
        | {"RIM_EDGE_HOME": str(home), "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [], done.stderr


def test_every_reason_is_needed() -> None:
    assert [form for form in NOT_RUN if not any(re.search(form, command) for command in commands())] == []
    named = [path for reason in NOT_RUN.values() for path in re.findall(r"tests/[\w/.]+", reason)]
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
