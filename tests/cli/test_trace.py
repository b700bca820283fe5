"""`rim-edge trace`: a table, JSON, a picture, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.traced_bundle import traced_bundle, traced_text_bundle

__all__ = ["traced_bundle", "traced_text_bundle"]
Run = Callable[..., Any]
QUESTION = ("Which one?", "-c", "this", "-c", "that & <more>", "-c", "neither")


def test_people_see_a_line_for_each_number_of_blocks(run: Run, traced_bundle: Path) -> None:
    done = run("trace", *QUESTION, "--bundle", str(traced_bundle))
    body = run("trace", *QUESTION, "--bundle", str(traced_bundle), "--json").json
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines() if line.strip()[:1].isdigit()]
    assert [line[:2] for line in lines] == [[str(k), one["letter"]] for k, one in enumerate(body["answers"])]
    assert [k for k, line in enumerate(lines) if "◂" in line] == body["changes"]
    assert f"from block {body['settled']} on, after {len(body['changes'])} changes" in done.out
    assert "for all 9" in done.out


def test_without_options_a_text_bundle_shows_first_tokens(run: Run, traced_text_bundle: Path) -> None:
    shown = run("trace", "Where are you?", "--bundle", str(traced_text_bundle)).out
    body = run("trace", "Where are you?", "--bundle", str(traced_text_bundle), "--json").json
    lines = [line.split() for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert [line[1] for line in lines] == [one["text"] or "(end)" for one in body["first_tokens"]]


def test_a_picture(run: Run, traced_bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "trace.svg"
    done = run("trace", *QUESTION, "--bundle", str(traced_bundle), "--svg", str(picture))
    assert (done.code, f"the picture is in {picture}" in done.err) == (0, True)
    root = ElementTree.parse(picture).getroot()
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Which one?", "A  this", "B  that & <more>", "C  neither", *map(str, range(9))} <= set(texts)
    again = run("trace", *QUESTION, "--bundle", str(traced_bundle), "--svg", str(picture))
    assert again.code == 2
    assert "already exists" in again.err


def test_ask_traces_too(run: Run, traced_bundle: Path) -> None:
    place = ("--bundle", str(traced_bundle))
    ours, theirs = (run(*verb, *QUESTION, *place, "--json").json for verb in (("ask", "--trace"), ("trace",)))
    for body in (ours, theirs):
        body["latency_ms"] = 0
        for answer in body["answers"]:
            answer["latency_ms"] = 0
    assert ours == theirs
    for other in (("--raw",), ("--blocks", "2"), ("--max-tokens", "3"), ("--readout", "generate")):
        done = run("ask", "--trace", *QUESTION, *place, *other)
        assert done.code == 2
        assert f"--trace and {' '.join(other) if 'generate' in other else other[0]} exclude each other" in done.err
    assert "--trace needs one question" in run("ask", "--trace", *place, "--jsonl").err
    assert "--trace needs one question" in run("ask", "--trace", *place, typed="").err


def test_what_it_refuses(run: Run, tiny_bundle: Path, traced_bundle: Path, tmp_path: Path) -> None:
    without = run("trace", "Why?", "--bundle", str(tiny_bundle), "--json")
    assert without.code == 2
    assert "rim-edge export --trace" in without.json["error"]["message"]
    assert run("trace", "", "--bundle", str(traced_bundle)).code == 2
    place = tmp_path / "none" / "trace.svg"
    missing = run("trace", "Why?", "--bundle", str(tiny_bundle), "--svg", str(place))
    assert not place.exists()
    assert missing.code == 2
