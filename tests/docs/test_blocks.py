"""Every block of README and of the site's pages is run or read by a test, or it is named here with the reason.

Commands run in tests/cli/test_wheel.py, from an installed wheel.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, Question, RimError, read_row
from rim_runtime.testing import FakeDecoder, fake_engine

from docs.write_cli import verbs
from rim_edge.recipe.toml import read_recipe
from tests.cli.schemas import assert_valid
from tests.docs.page_blocks import OTHERS, PAGES, Block, blocks
from tests.places import DEMO_FOLDER, REPOSITORY

SHOWN = ("", "text")
"""Blocks of these languages show something: a tree, a printed answer."""
READ = ("console", "python", "toml", "json")
"""What is run or read, here or in tests/cli/test_wheel.py."""
ELSEWHERE: dict[str, str] = {"js": "tests/javascript/test_node.py"}
"""Other languages, and the test that runs them."""
PROGRAMS_ELSEWHERE = {
    r"^>>> ": "tests/cli/test_readme.py",
    r"ORTModelForCausalLM": "tests/cli/test_bundle_files.py",  # optimum-onnx needs a transformers of its own
    r"canonical = json\.dumps": "tests/runtime/bundle/test_format_page.py",
    r'Engine\.load\("qthink"\)': "tests/runtime/generate/test_latent.py",
}
"""Programs of these forms are not run here, because they need what is not here, and the test that does as much."""
PAGES_ELSEWHERE = {"docs/embedding.md": "tests/runtime/test_embedding_page.py"}
"""Pages whose programs have a test of their own."""
COMMANDS_ELSEWHERE = {
    "examples/browser": "tests/javascript/test_browser.py",  # npm
    "examples/clients": "tests/serving/test_clients.py",  # a server
    "examples/desktop": "tests/examples/desktop/test_answers.py",  # a window
    "examples/node": "tests/javascript/test_node.py",  # npm
    "examples/smollm2": "tests/runtime/test_smollm2.py",  # half an hour
    "examples/qthink": "tests/cli/test_qthink_path.py",  # minutes
    "examples/training": "tests/cli/test_training_path.py",  # GPUs, and Qwen3's weights
}
"""Folders whose commands take a real model or minutes, and the test that walks the same path in small."""


OPTIONS = {verb: {name for o in c.params for name in (*o.opts, *o.secondary_opts)} for verb, c, _ in verbs()}


def test_every_block_is_run_or_named() -> None:
    unknown = [
        f"{block}: {block.language}" for block in blocks() if block.language not in (*SHOWN, *READ, *ELSEWHERE)
    ]
    assert unknown == [], "run them in a test, and name it in ELSEWHERE"
    assert [block for block in blocks(*SHOWN) if re.search(r"^(\$|rim-edge|pip|python) ", block.text, re.M)] == []
    folders = {block.page.rpartition("/")[0] for block in blocks("console")} - {"", "docs"}
    assert folders == set(COMMANDS_ELSEWHERE)


def test_what_is_named_is_there() -> None:
    programs = [block.text for block in blocks("python")]
    assert [form for form in PROGRAMS_ELSEWHERE if not any(re.search(form, text, re.M) for text in programs)] == []
    tests = [
        *ELSEWHERE.values(),
        *PROGRAMS_ELSEWHERE.values(),
        *PAGES_ELSEWHERE.values(),
        *COMMANDS_ELSEWHERE.values(),
    ]
    assert [test for test in tests if not (REPOSITORY / test).is_file()] == []
    assert {page.relative_to(REPOSITORY).as_posix() for page in [*PAGES, *OTHERS]} >= set(PAGES_ELSEWHERE)


def programs() -> list[Block]:
    """Return the programs that run here."""
    return [
        block
        for block in blocks("python")
        if block.page not in PAGES_ELSEWHERE
        and not any(re.search(form, block.text, re.M) for form in PROGRAMS_ELSEWHERE)
    ]


@pytest.mark.parametrize("program", programs(), ids=str)
def test_a_program_runs(program: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": "Which?", "options": ["this", "that"], "answer": "B"}, {"question": "Where are you?"}]
    Path("questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    load = Engine.load
    writes = program.page == "docs/text.md"
    monkeypatch.setattr(Engine, "load", lambda *_, **__: _writer() if writes else load(DEMO_FOLDER))
    names: dict[str, Any] = {"Engine": Engine, "Path": Path, "Question": Question, "RimError": RimError}
    names |= {"question": "Which?", "choices": ["this", "that"]}
    with _writer() if writes else load(DEMO_FOLDER) as engine:
        exec(program.text, names | {"engine": engine})


def _writer() -> Engine:
    return fake_engine(decoder=FakeDecoder("in the kitchen"))


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_recipe_is_one(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(block.text, encoding="utf-8")
    assert read_recipe(file).curriculum.stages


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_valid(block: Block) -> None:
    """A whole text, an entry of a file, or rows; `…` in the place of an entry stands for others."""
    text = re.sub(r", …(?=[}\]])", "", block.text).strip()
    text = f"{{{text}}}" if text.startswith('"') else text
    lines = text.splitlines() if re.search(r"^\{.*\}\n\{", text) else [text]
    for value in map(json.loads, lines):
        if "error" in value:
            assert_valid("error", json.dumps(value))
        elif "question" in value:
            assert read_row(value)


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_commands_are_this_releases(block: Block) -> None:
    """What is not run, because it takes a model or minutes, at least names verbs and options that are there."""
    for command in block.commands:
        words = shlex.split(command.partition(" | ")[0], comments=True)
        if words[0] != "rim-edge" or words[1].startswith("-"):
            continue
        verb = " ".join(words[1:3]) if words[1] == "bundle" else words[1]
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given - OPTIONS[verb] == set(), command
