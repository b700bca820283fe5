"""Check what `--json` printed against docs/schemas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from rim_edge.cli.errors.report import wants_json
from tests.places import REPOSITORY

SCHEMAS = REPOSITORY / "docs" / "schemas"


def check_output(arguments: Sequence[str], out: str) -> None:
    """Assert that every line of a command's stdout is as its schema says; nothing without --json."""
    if not wants_json(arguments):
        return
    for line in out.splitlines():
        assert_valid(_schema(arguments, line), line)


def assert_valid(name: str, line: str) -> None:
    """Assert that a line of JSON is as a schema says."""
    fault = best_match(_validator(name).iter_errors(json.loads(line)))
    assert fault is None, f"{name}.json, {fault.json_path}: {fault.message}"


def _schema(arguments: Sequence[str], line: str) -> str:
    if "--jsonl" in arguments:
        return f"{arguments[0]}-jsonl"
    body = json.loads(line)
    if set(body) == {"schema_version", "error"}:
        return "error"
    if arguments[0] == "ask" and {"text", "samples"} & set(body):
        return "ask-text"
    if "--trace" in arguments and arguments[0] == "ask":
        return "trace"
    if "generated" in body:
        return "ask-readout"
    if "--card" in arguments:
        return "eval-card"
    verb, *rest = arguments
    return f"bundle-{rest[0]}" if verb == "bundle" else verb


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
