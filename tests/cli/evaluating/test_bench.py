"""`rim-edge bench`: every engine that runs, in a process of its own; what became slower exits 3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rim_runtime import EngineName, InputError, QuestionError
from rim_runtime.bundle.folder import Bundle
from rim_runtime.errors import CheckError, EngineFailedError

from rim_edge.benchmark import engines, worker
from rim_edge.benchmark.against import Change, compare
from rim_edge.benchmark.engines import EngineSpeed, Wanted, measure
from rim_edge.cli.show.numbers import milliseconds
from rim_edge.cli.show.pictures.benchmark import picture
from rim_edge.errors import DataError
from tests.places import DEMO_FOLDER
from tests.text_bundle import TextBundle, text_bundle

__all__ = ["text_bundle"]
Run = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"
DEMO = ("bench", "--bundle", "demo", "--engine", "ort-cpu", "--rounds", "10")


def test_figures_are_saved_shown_and_compared(run: Run, tmp_path: Path) -> None:
    saved = tmp_path / "then.json"
    done = run(*DEMO, "--save", str(saved), "--json")
    assert done.code == 0, done.err
    (row,) = done.json["engines"]
    assert (row["engine"], row["precision"], row["rounds"], row["tokens_a_second"]) == (
        "ort-cpu",
        "int8",
        10,
        None,
    )
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["p50_ms"] / 1000 < row["first_answer_s"]
    assert row["first_answer_s"] == pytest.approx(row["load_s"] + row["first_ms"] / 1000, abs=0.002)
    assert row["start_s"] > 0.02, "an interpreter does not start in no time"
    assert row["peak_gib"] > 0.01
    drawn = tmp_path / "bench.svg"
    shown = run(*DEMO, "--against", str(saved), "--allowed", "1000", "--svg", str(drawn))
    assert shown.code == 0, shown.err
    texts = [element.text for element in ElementTree.parse(drawn).iter() if element.tag.endswith("text")]
    assert texts[0].startswith("demo · ") and "ort-cpu" in texts
    assert any(text.endswith(f" · then {milliseconds(row['p50_ms'])}") for text in texts)
    assert run(*DEMO, "--svg", str(drawn)).code == 2, "it is there"
    assert "p50_ms" in shown.out and "× as slow" in shown.out
    then = json.loads(saved.read_text())
    then["engines"][0]["p50_ms"] /= 1e6
    saved.write_text(json.dumps(then))
    slower = run(*DEMO, "--against", str(saved), "--allowed", "100", "--json")
    assert slower.code == 3
    told = slower.json  # one line
    assert [change["figure"] for change in told["changes"] if change["is_regression"]] == ["p50_ms"]
    assert told["error"]["code"] == 3
    assert "1 figure is slower than before, the worst p50_ms of ort-cpu" in told["error"]["message"]
    assert slower.err.count("1 figure is slower") == 1


def measures_nothing(*_: object) -> Any:
    raise AssertionError("something is measured")


@pytest.mark.parametrize("more", [(), ("--engine", "ort-cpu")])
def test_an_engine_that_was_named_is_honoured_or_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr(engines, "_run", measures_nothing)
    done = run("bench", "--bundle", "demo", *more, "--engine", "ort-cuda", "--json")
    assert done.code == 4
    assert "--engine ort-cuda cannot run here, so nothing was measured." in done.err


@pytest.mark.parametrize(("code", "kind"), [(1, EngineFailedError), (2, InputError), (3, CheckError)])
def test_a_named_engine_that_fails_ends_it_with_its_own_code(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    monkeypatch.setattr(engines, "_run", lambda *_: {"error": {"code": code, "message": "no"}})
    with pytest.raises(kind, match="ort-cpu was not measured: no"):
        measure(Wanted(Path("bundle"), (EngineName.ORT_CPU,), None, 5, 5), lambda _: None)


def test_a_bad_value_is_bad_usage_whatever_else_cannot_run(run: Run) -> None:
    done = run("bench", "--bundle", "demo", "--precision", "fp32", "--rounds", "5")
    assert done.code == 2
    assert "ort-cpu was not measured:" in done.err


def test_a_text_that_has_no_room_is_refused(text_bundle: TextBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_WARM_UP", 10**9)  # refused before anything is timed
    with pytest.raises(QuestionError, match="an answer of 999,999 more does not fit"):
        worker._measured(text_bundle.path, "ort-cpu", None, 5, 999_999)


WRONG = {
    "nothing in it": ("{}", "no engines, or no bundle"),
    "no JSON": ("nope", "no JSON"),
    "a list": ("[]", "found list"),
    "a text for a number": (
        '{"manifest_sha256": "0", "engines": [{"engine": "ort-cpu", "precision": "int8", "p50_ms": "x"}]}',
        'p50_ms of ort-cpu is "x"',
    ),
    "an infinite number": (
        '{"manifest_sha256": "0", "engines": [{"engine": "ort-cpu", "precision": "int8", "p50_ms": 1e999}]}',
        "p50_ms of ort-cpu is Infinity",
    ),
    "no precision": ('{"manifest_sha256": "0", "engines": [{"engine": "ort-cpu"}]}', "row 1 has no engine"),
    "another bundle": ('{"manifest_sha256": "0", "bundle": "other", "engines": []}', "is of the bundle other"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_compared_is_refused_before_anything_is_measured(
    run: Run, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_run", measures_nothing)
    other = tmp_path / "other.json"
    other.write_text(WRONG[case][0])
    done = run(*DEMO, "--against", str(other))
    assert (done.code, done.out) == (2, "")
    assert WRONG[case][1] in done.err and "Errno" not in done.err
    assert run(*DEMO, "--save", str(other)).code == 2, "it is there"


@pytest.mark.parametrize(("name", "told"), [("", "is a folder"), ("none.json", "There is no file")])
def test_what_is_no_file_is_told(run: Run, tmp_path: Path, name: str, told: str) -> None:
    done = run(*DEMO, "--against", str(tmp_path / name))
    assert done.code == 2
    assert f"{told}" in done.err and "expected what 'rim-edge bench --json' printed" in done.err


def test_another_processor_is_noted(run: Run, tmp_path: Path) -> None:
    row = {"engine": "ort-cpu", "precision": "int8", "p50_ms": 1e9}
    sha256 = Bundle.load(DEMO_FOLDER).manifest.sha256
    body = {"manifest_sha256": sha256, "processor": "an abacus", "engines": [row]}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(body))
    done = run(*DEMO, "--against", str(other), "--json")
    assert done.code == 0
    assert "note: the earlier benchmark is of another processor (an abacus; here " in done.err


def speed(**changed: Any) -> EngineSpeed:
    values = {"engine": "ort-cpu", "precision": "int8", "blocks": 4, "first_answer_s": 1.0, "p50_ms": 10.0}
    rest = {
        "start_s": 0.2,
        "load_s": 0.9,
        "first_ms": 100.0,
        "p99_ms": 20.0,
        "rounds": 10,
        "peak_gib": None,
        "first_token_ms": 50.0,
        "tokens_a_second": 100.0,
    }
    return EngineSpeed(**{**values, **rest, **changed})


def test_a_picture_by_hand() -> None:
    slow = speed(engine="openvino", p50_ms=40.0, p99_ms=80.0, tokens_a_second=None, first_token_ms=None)
    change = Change("openvino", "int8", "p50_ms", 160.0, 40.0, 0.25, False)
    drawn = ElementTree.fromstring(picture("mine <&>", [speed(), slow], [change]))
    assert next(drawn.iter(f"{SVG}text")).text == "mine <&>"

    def widths(kind: str) -> list[float]:
        return [float(one.get("width", 0)) for one in drawn.iter(f"{SVG}rect") if one.get("class") == kind]

    assert widths("warm")[1] == pytest.approx(4 * widths("warm")[0], rel=0.01)
    assert widths("load")[0] == pytest.approx(4.5 * widths("start")[0], rel=0.01)
    assert len(widths("pace")) == 1, "one engine writes"
    marks = [float(one.get("x1", 0)) for one in drawn.iter(f"{SVG}line") if one.get("class") == "then"]
    assert len(marks) == 2, "one on the bar of its engine, one in the legend"
    ends = [
        float(one.get("x", 0)) + float(one.get("width", 0))
        for one in drawn.iter(f"{SVG}rect")
        if one.get("class") == "warm"
    ]
    assert max(marks) > max(ends), "it was slower then"


def test_ratios_by_hand() -> None:
    then = {"bundle": "b", "manifest_sha256": "x", "engines": [vars(speed())]}
    changes = compare([speed(p50_ms=12.0, tokens_a_second=50.0, first_token_ms=None)], then, "x", 1.25)
    assert {one.figure: (one.slower, one.is_regression) for one in changes} == {
        "first_answer_s": (1.0, False),
        "p50_ms": (pytest.approx(1.2), False),
        "tokens_a_second": (2.0, True),
    }
    with pytest.raises(DataError, match="expected this very one"):
        compare([speed()], then, "y", 1.25)
    with pytest.raises(DataError, match="none of these engines"):
        compare([speed(engine="openvino")], then, "x", 1.25)
