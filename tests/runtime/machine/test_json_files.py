"""JSON that is nested too deep, has a byte order mark or is none: one set of errors for every reader."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from rim_runtime import Bundle, BundleCorruptError, Engine, InputError
from rim_runtime.bundle.trust import is_trusted, trust
from rim_runtime.machine.folders import trust_file
from rim_runtime.machine.json_files import parse_json, read_json
from rim_runtime.machine.records import Records

DEEP = ("[" * 200_000, '{"a":' * 200_000)


@pytest.mark.parametrize("text", [*DEEP, "", "{", "nope", "1" * 5_000, "\ufeff\ufeff{}"], ids=range(7))
def test_what_is_not_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_may_have_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.json").write_text('{"é": [1]}', encoding=encoding)
    assert read_json(tmp_path / "x.json") == {"é": [1]}


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00", *map(str.encode, DEEP)], ids=range(3))
def test_a_record_that_is_none_is_forgotten(tmp_path: Path, content: bytes) -> None:
    records = Records(tmp_path)
    records.keep("choices", "ort-cpu", "facts")
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(content)
    assert records.recall("choices", "facts") is None


@pytest.mark.parametrize("text", DEEP, ids=range(2))
def test_a_damaged_list_of_trust_trusts_nobody(tiny_bundle: Path, text: str) -> None:
    bundle = Bundle.load(tiny_bundle)
    trust_file().parent.mkdir(parents=True)
    trust_file().write_text(text)
    assert not is_trusted(bundle.manifest)
    with pytest.raises(InputError, match=r"nested too deep.*Delete it"):
        trust(bundle.manifest)
    Engine.load(tiny_bundle).close()


@pytest.mark.parametrize("text", [*DEEP, json.dumps([])], ids=range(3))
def test_a_damaged_certificate_is_named(tiny_bundle: Path, text: str) -> None:
    bundle = Bundle.load(tiny_bundle)
    (tiny_bundle / "certificate.json").write_text(text)
    with pytest.raises(BundleCorruptError, match=r"certificate\.json"):
        bundle.certificate()


def test_json_is_parsed_in_one_place() -> None:
    """Errors of Python's parser are easily forgotten.

    Rows have a parser of their own, with more rules; a trial of a template reads what we wrote to its process.
    """
    root = Path(__file__).parents[3]
    files = [file for folder in ("runtime", "export") for file in (root / folder).rglob("*.py")]
    found = {file.name for file in files if re.search(r"json\.loads?\(", file.read_text(encoding="utf-8"))}
    assert found == {"json_files.py", "lines.py", "template_trial.py"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(OSError, match="no regular file"):
        read_json(tmp_path / "x.json")
