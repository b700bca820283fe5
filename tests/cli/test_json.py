"""Every verb's `--json` output has a schema in docs/schemas, and docs/json.md names it.

The fixture `run` checks whatever any test of the command line prints; here each verb is asked once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.write_cli import verbs
from rim_edge.cli.errors import usage
from rim_edge.cli.output import error_body, exit_code
from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family
from rim_edge.recipe import bounds
from tests.cli.schemas import SCHEMAS, assert_valid
from tests.places import DEMO_FOLDER, REPOSITORY

Run = Callable[..., Any]
PAGE = (REPOSITORY / "docs" / "json.md").read_text(encoding="utf-8")
ELSEWHERE = {
    "export": "test_export.py",
    "train": "test_training_path.py",
    "merge": "test_training_path.py",
    "rollouts": "test_qthink_path.py",
    "bench": "evaluating/test_bench.py",
    "bundle compare": "evaluating/test_compare.py",
    "calibrate": "evaluating/test_calibrate.py",
    "serve": "../serving/test_serve.py",
    "bundle optimum": "test_bundle_files.py",
    "bundle sign": "bundling/test_signing.py",
}
"""Verbs that take minutes or a bundle that writes text, and the test that prints their JSON."""
ASKED = {
    "ask": ["ask", "Which?", "-c", "this", "-c", "that"],
    "prompt": ["prompt", "Which?"],
    "trace": ["trace", "Which?", "-c", "this", "-c", "that"],
    "demo": ["demo", "--count", "3"],
    "eval": ["eval", "ROWS"],
    "bundle list": ["bundle", "list"],
    "bundle use": ["bundle", "use", "BUNDLE"],
    "bundle verify": ["bundle", "verify", "BUNDLE"],
    "bundle trust": ["bundle", "trust", "BUNDLE"],
    "bundle untrust": ["bundle", "untrust", "BUNDLE"],
    "bundle info": ["bundle", "info", "BUNDLE"],
    "bundle sbom": ["bundle", "sbom", "BUNDLE"],
    "bundle triton": ["bundle", "triton", "BUNDLE", "NEW"],
    "bundle copy": ["bundle", "copy", "BUNDLE", "NEW"],
    "bundle vectors": ["bundle", "vectors", "BUNDLE", "NEW"],
    "bundle remove": ["bundle", "remove", "BUNDLE", "--yes"],
    "doctor": ["doctor"],
}


def test_every_verb_has_a_schema_that_the_page_names() -> None:
    names = [words.replace(" ", "-") for words, _, _ in verbs()]
    assert {path.stem for path in SCHEMAS.iterdir()} == {
        *names,
        "ask-jsonl",
        "ask-text",
        "ask-readout",
        "eval-card",
        "serve-jsonl",
        "error",
        "vectors",
    }
    assert all(f"(schemas/{path.name})" in PAGE for path in SCHEMAS.iterdir())
    assert {words for words, _, _ in verbs()} == {*ASKED, *ELSEWHERE}


def test_the_page_lists_every_kind_of_error() -> None:
    """Those of libraries alone are left out: nobody foresaw them."""
    import rim_export.errors
    from rim_runtime import errors

    import rim_edge.errors

    modules = (errors, rim_export.errors, rim_edge.errors, bounds, usage)
    classes = {item for module in modules for item in vars(module).values() if isinstance(item, type)}
    raised = {item for item in classes if issubclass(item, errors.RimError)}
    page = (REPOSITORY / "docs" / "errors.md").read_text(encoding="utf-8")
    listed: dict[str, tuple[str, str]] = {}
    for code, part in re.findall(r"^## Exit code (\d)(.*?)(?=^## |\Z)", page, re.M | re.S):
        for kind, name in re.findall(r"^### (\S+)\n\n`\w+` `(\w+)`", part, re.M):
            listed[kind] = code, name
    raised -= {errors.RimError}
    for item in raised:
        try:
            error = item("x")
        except TypeError:  # it takes more than a message, which does not matter here
            error = item.__new__(item)
        assert listed.pop(error.kind, None) == (str(item.exit_code), item.__name__), error.kind
        assert (exit_code(error), error_body(error)["error"]["kind"]) == (item.exit_code, error.kind)
    assert not listed, "the page names what is raised nowhere"


@pytest.mark.parametrize("verb", ASKED)
def test_what_a_verb_prints(run: Run, tiny_bundle: Path, tmp_path: Path, verb: str) -> None:
    rows = [{"question": p.question, "answer": p.answer} for p in fresh_puzzles(3, 7, Family.ORDERING)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    places = {"ROWS": tmp_path / "rows.jsonl", "BUNDLE": tiny_bundle, "NEW": tmp_path / "new"}
    done = run(*(str(places.get(word, word)) for word in ASKED[verb]), "--json")
    assert done.code == 0, done.err
    assert_valid(verb.replace(" ", "-"), done.out)


def test_a_certificate_shows_in_info(run: Run) -> None:
    assert run("bundle", "info", str(DEMO_FOLDER), "--json").json["certificate"]["variants"]


def test_rows(run: Run, tiny_bundle: Path) -> None:
    rows = b'{"question": "Which?", "options": ["a", "b"], "id": 7}\n{"question": ""}\nno JSON\n'
    done = run("ask", "--jsonl", "--bundle", str(tiny_bundle), stdin=rows)
    assert [("error" in json.loads(line)) for line in done.out.splitlines()] == [False, True, True]


def test_a_schema_refuses_what_it_does_not_know() -> None:
    body = {"schema_version": 1, "error": {"code": 2, "kind": "usage", "message": "x"}}
    assert_valid("error", json.dumps(body))
    for wrong in (
        body | {"more": 1},
        {"schema_version": 2, **body} | {"schema_version": 2},
        {"schema_version": 1},
    ):
        with pytest.raises(AssertionError, match=r"error\.json"):
            assert_valid("error", json.dumps(wrong))
