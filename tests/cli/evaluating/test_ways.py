"""`rim-edge eval --as`: a bundle and its checkpoint write the same, and what a subject cannot do is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine

from rim_edge.puzzles.fresh import fresh_puzzles
from tests.places import DEMO_FOLDER
from tests.text_bundle import TextBundle
from tests.text_bundle import text_bundle as text_bundle

Run = Callable[..., Any]
CHECKPOINT = DEMO_FOLDER.parent / "checkpoint"
OPEN = [{"question": f"How much is {number} and {number}?", "answer": str(2 * number)} for number in range(1, 5)]


def file_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def puzzles(tmp_path: Path) -> Path:
    return file_of(tmp_path, [puzzle.row() for puzzle in fresh_puzzles(6, 77)])


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    return file_of(tmp_path, OPEN)


def saved(file: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted(rows, key=lambda row: row["row"])


@pytest.mark.parametrize(("way", "blocks"), [("open", ("--blocks", "0..2")), ("chain", ()), ("zero-shot", ())])
def test_a_bundle_writes_what_its_checkpoint_does(
    run: Run, text_bundle: TextBundle, numbers: Path, tmp_path: Path, way: str, blocks: tuple[str, ...]
) -> None:
    options = ("--as", way, *blocks, "--max-tokens", "6", "--one-by-one", "--instruction", "Be brief.", "--json")
    subjects = {"bundle": text_bundle.path, "model": text_bundle.path.parent / "checkpoint"}
    found = {}
    for kind, place in subjects.items():
        told = run("eval", str(numbers), f"--{kind}", str(place), *options, "--save", str(tmp_path / kind)).json
        assert (told["asked"]["way"], told["n"]) == (way, 4)
        assert all(0 < one["first_ms"] <= one["full_ms"] for one in told["measured"].values())
        found[kind] = saved(tmp_path / kind)
    assert len(found["bundle"]) == 4
    for ours, theirs in zip(found["bundle"], found["model"], strict=True):
        assert ours["question_sha256"] == theirs["question_sha256"]
        assert set(ours["given"]) == ({"0", "1", "2"} if way == "open" else {"0"})
        for blocks_used, given in ours["given"].items():
            other = theirs["given"][blocks_used]
            assert (given["tokens"], given["answer"], given["cut"]) == (
                other["tokens"],
                other["answer"],
                other["cut"],
            )


def test_a_question_is_asked_as_in_a_chat_or_behind_the_prefix(
    run: Run, text_bundle: TextBundle, numbers: Path, tmp_path: Path
) -> None:
    texts = {}
    for way in ("open", "zero-shot"):
        options = ("--as", way, "--max-tokens", "6", "--limit", "1", "--save", str(tmp_path / way))
        assert run("eval", str(numbers), "-b", str(text_bundle.path), *options).code == 0
        (row,) = saved(tmp_path / way)
        texts[way] = row["given"]["0"]["text"]
    assert texts["open"] != texts["zero-shot"]


def test_letters_of_a_bundle_that_writes_tell_how_often_the_first_token_is_none(
    run: Run, text_bundle: TextBundle, puzzles: Path
) -> None:
    options = ("-b", str(text_bundle.path), "--as", "letter", "--blocks", "2")
    told = run("eval", str(puzzles), *options, "--json").json["first_token_is_letter"]
    with Engine.load(text_bundle.path) as engine:
        bare = sum(engine.generate_letter(one.question, blocks=2).bare for one in fresh_puzzles(6, 77))
    assert (told["n"], told["right"]) == (6, bare)
    assert f"The first token is no bare letter in {6 - bare} of 6" in run("eval", str(puzzles), *options).out
    checkpoint = ("-m", str(text_bundle.path.parent / "checkpoint"), *options[2:])
    assert run("eval", str(puzzles), *checkpoint, "--json").json["first_token_is_letter"] == told
    alone = run("eval", str(puzzles), *checkpoint, "--one-by-one", "--json").json["first_token_is_letter"]
    assert alone == told


def test_samples_give_pass_at_k(run: Run, text_bundle: TextBundle, numbers: Path, tmp_path: Path) -> None:
    options = ("--as", "open", "--blocks", "1", "--max-tokens", "3", "--samples", "3", "--pass-at", "1")
    target = tmp_path / "saved"
    told = run(
        "eval",
        str(numbers),
        "-b",
        str(text_bundle.path),
        *options,
        "--pass-at",
        "3",
        "--save",
        str(target),
        "--json",
    ).json
    assert set(told["measured"]["1"]["pass_at"]) == {"1", "3"}
    assert [len(row["given"]["1"]["samples"]) for row in saved(target)] == [3] * 4
    checkpoint = text_bundle.path.parent / "checkpoint"
    told = run("eval", str(numbers), "-m", str(checkpoint), *options, "--limit", "2", "--json").json
    assert set(told["measured"]["1"]["pass_at"]) == {"1"}


def test_letters_need_no_samples_for_pass_at_k(run: Run, puzzles: Path) -> None:
    told = run(
        "eval", str(puzzles), "-b", "demo", "--pass-at", "1", "--pass-at", "4", "--blocks", "2", "--json"
    ).json
    shares = told["measured"]["2"]["pass_at"]
    assert 0 < shares["1"] < shares["4"] <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-b", "demo", "--as", "open"), "answers with letters alone, and --as open needs one that writes text"),
        (("-b", "demo", "--as", "latent"), "takes no latent steps"),
        (("-m", str(CHECKPOINT), "--as", "latent"), "takes no latent steps: there is no projection head"),
        (("-m", str(CHECKPOINT), "--as", "chain", "--blocks", "2"), "--as chain asks without memory blocks"),
        (("-m", str(CHECKPOINT), "--as", "open", "--pass-at", "2"), "Add --samples 2"),
        (("-b", "demo", "--as", "open", "--samples", "1001"), "expected a whole number from 1 to 1000"),
        (("-b", "demo", "--as", "letters"), "Did you mean letter?"),
        (("-b", "demo", "--html", "."), "already exists"),
        (("--saved", "x.jsonl"), "--saved and FILE exclude each other: it shows a run as it was"),
        (("-b", "demo", "--card", "x.toml"), "--card and FILE exclude each other"),
        (("-b", "demo", "--against", "nowhere.jsonl"), "There is no file nowhere.jsonl"),
    ],
)
def test_what_cannot_be_is_refused_by_name(run: Run, puzzles: Path, options: tuple[str, ...], words: str) -> None:
    outcome = run("eval", str(puzzles), *options)
    assert outcome.code in (1, 2)
    assert words in outcome.err


def test_a_file_is_needed(run: Run) -> None:
    outcome = run("eval", "-b", "demo")
    assert outcome.code == 2
    assert "a FILE of rows is missing, or --saved FILE, or --card FILE" in outcome.err
