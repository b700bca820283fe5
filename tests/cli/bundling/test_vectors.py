"""`rim-edge bundle vectors`: the same file each time, every kind of question in it, and nothing half written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, InputError

from tests.cli.schemas import assert_valid
from tests.places import DEMO_FOLDER

Run = Callable[..., Any]
MakeBundle = Callable[..., Path]


def made(run: Run, bundle: object, file: Path, *options: object) -> dict[str, Any]:
    done = run("bundle", "vectors", str(bundle), str(file), *map(str, options))
    assert done.code == 0, done.err
    assert_valid("vectors", file.read_text(encoding="ascii"))
    body: dict[str, Any] = json.loads(file.read_text())
    return body


def test_the_demos_vectors(run: Run, tmp_path: Path) -> None:
    body = made(run, DEMO_FOLDER, tmp_path / "one.json")
    made(run, DEMO_FOLDER, tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    cases = body["cases"]
    assert len({one["name"] for one in cases}) == len(cases)
    assert {one["blocks"] for one in cases} == {0, 1, 2, 3, 4}
    assert {one["options_from"] for one in cases} == {"list", "lines", "other", "none"}
    assert any("<|im_end|>" in one["question"] for one in cases)
    assert max(one["question_length"] for one in cases) == 1001, "the most that it takes"
    assert min(one["question_length"] for one in cases) <= 3
    golden = [one for one in cases if one["name"].startswith("golden") and "with" not in one["name"]]
    assert len(golden) == 16
    assert not any(one["near"] for one in golden)
    for one in cases:
        assert one["near"] is (one["margin"] < 2 * body["tolerance"]["logit"] and one not in golden)
    assert 0 < 3 * body["tolerance"]["measured_logit"] <= body["tolerance"]["logit"] < 1
    long = next(one for one in body["refusals"] if one["name"] == "one token too many")
    assert (long["kind"], long["tokens"], long["limit"]) == ("question-too-long", 1002, 1001)
    assert {one["kind"] for one in body["refusals"]} == {"question", "question-too-long"}


def test_a_case_is_what_the_engine_answers(run: Run, tmp_path: Path) -> None:
    body = made(run, DEMO_FOLDER, tmp_path / "vectors.json")
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        for one in body["cases"]:
            answer = engine.ask(one["question"], one["choices"], blocks=one["blocks"])
            assert (answer.letter, answer.choice) == (one["letter"], one["choice"])
            assert list(answer.letter_logits.values()) == pytest.approx(one["letter_logits"], rel=1e-6)
        for one in body["refusals"]:
            with pytest.raises(InputError) as error:
                engine.ask(one["question"], one["choices"], blocks=one["blocks"])
            assert error.value.kind == one["kind"]


def test_rows_are_asked_as_well(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    rows = [{"question": "Which?", "options": ["x", "y"], "answer": "B"}, {"question": "Where?", "answer": "A"}]
    rows[1]["letters"] = "ABCDEFGHIJ"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = made(run, tiny_bundle, tmp_path / "few.json")
    more = made(run, tiny_bundle, tmp_path / "more.json", "--rows", tmp_path / "rows.jsonl")
    assert [one["question"] for one in more["cases"][len(few["cases"]) :]] == ["Which?\nA: x\nB: y", "Where?"]


@pytest.mark.parametrize("form", ["few letters", "zip"])
def test_other_bundles(run: Run, make_bundle: MakeBundle, tmp_path: Path, form: str) -> None:
    letters = 3 if form == "few letters" else 10
    bundle = make_bundle(letters=letters)
    if form == "zip":
        bundle = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", bundle))
    body = made(run, bundle, tmp_path / "vectors.json")
    assert len(body["letters"]) == letters
    refused = {one["name"] for one in body["refusals"]}
    assert ("more options than this model's letters" in refused) is (letters < 10)


def test_what_cannot_be_written_or_asked_leaves_nothing(run: Run, make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle, target = make_bundle(), tmp_path / "vectors.json"
    (tmp_path / "long.jsonl").write_text(json.dumps({"question": "x" * 600, "options": ["a", "b"], "answer": "A"}))
    failed = run("bundle", "vectors", str(bundle), str(target), "--rows", str(tmp_path / "long.jsonl"))
    assert failed.code == 2
    assert "at most 512" in failed.err
    assert "row" in failed.err
    assert not target.exists()
    failed = run("bundle", "vectors", str(bundle), str(target), "--precision", "int8")
    assert (failed.code, target.exists()) == (2, False)
    failed = run("bundle", "vectors", str(make_bundle("wide", precisions=("bf16",))), str(target))
    assert (failed.code, target.exists()) == (4, False)
    target.write_text("mine")
    failed = run("bundle", "vectors", str(bundle), str(target))
    assert (failed.code, target.read_text()) == (2, "mine")
    assert "already exists" in failed.err
