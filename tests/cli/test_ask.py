"""`rim-edge ask`."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Bundle, Engine, EngineFailedError
from rim_runtime.bundle.folder import CERTIFICATE, file_entries, save_manifest

Run = Callable[..., Any]
STEM = "Which vitamin deficiency causes scurvy?"
VITAMINS = ("-c", "Vitamin A", "-c", "Vitamin B12", "--choice", "Vitamin C", "-c", "Vitamin D")
KEYS = [
    "schema_version",
    "letter",
    "choice",
    "probabilities",
    "letter_logits",
    "confidence",
    "lead",
    "blocks",
    "engine",
    "precision",
    "bundle",
    "latency_ms",
]


@pytest.fixture
def ask(run: Run, tiny_bundle: Path) -> Run:
    return lambda *arguments, **options: run("ask", "--bundle", str(tiny_bundle), *arguments, **options)


def test_json_is_the_contract(ask: Run, tiny_bundle: Path) -> None:
    body = ask(STEM, *VITAMINS, "--json").json
    with Engine.load(tiny_bundle) as engine:
        answer = engine.ask(STEM, ["Vitamin A", "Vitamin B12", "Vitamin C", "Vitamin D"])
    assert list(body) == KEYS
    assert body["schema_version"] == 1
    assert (body["letter"], body["choice"]) == (answer.letter, answer.choice)
    assert body["probabilities"] == answer.probabilities
    assert list(body["letter_logits"]) == list("ABCDEFGHIJ")
    assert (body["blocks"], body["engine"], body["precision"], body["bundle"]) == (8, "ort-cpu", "fp32", "tiny")


def test_an_open_question_has_no_choice(ask: Run) -> None:
    body = ask("Where am I?", "--json", "--blocks", "0").json
    assert body["choice"] is None
    assert list(body["probabilities"]) == list("ABCDEFGHIJ")
    assert body["blocks"] == 0


def test_raw_is_the_letter_alone(ask: Run) -> None:
    answered = ask(STEM, *VITAMINS, "-r")
    assert answered.out in ("A\n", "B\n", "C\n", "D\n")
    assert answered.err == ""
    assert ask(STEM, *VITAMINS, "--raw").out == answered.out


def test_people_see_letter_option_lead_and_what_ran(ask: Run) -> None:
    body = ask(STEM, *VITAMINS, "--json").json
    shown = ask(STEM, *VITAMINS)
    lines = shown.out.splitlines()
    best, second, *_ = sorted(body["probabilities"].values(), reverse=True)
    assert body["lead"] == best - second
    assert lines[1] == f"  {body['letter']}  {body['choice']}   leads by {100 * body['lead']:.0f} points"
    assert "percentages are not calibrated" in shown.out, "and this bundle's certificate knows no accuracy"
    assert "confidence" not in shown.out
    assert all(any(line.startswith(f"  {letter}  ") and text in line for line in lines)
               for letter, text in zip("ABCD", VITAMINS[1::2], strict=True))  # fmt: skip
    assert "tiny · 8 blocks · ort-cpu · fp32 · " in shown.out
    assert "\x1b" not in shown.out
    assert all(line == line.rstrip() for line in lines)


def test_options_in_another_form_are_the_letters_that_are_offered(ask: Run) -> None:
    shown = ask("Which vitamin?\nA) Vitamin A\nB) Vitamin C")
    assert [line[2] for line in shown.out.splitlines() if " %" in line] == ["A", "B"]
    body = ask("Which vitamin?\nA) Vitamin A\nB) Vitamin C", "--json").json
    assert list(body["probabilities"]) == ["A", "B"]
    assert body["choice"] in ("Vitamin A", "Vitamin C")


def test_unclear_options_are_refused_before_a_bundle_is_loaded(run: Run) -> None:
    failed = run("ask", "Which?\nA. x\nC. y", "--bundle", "/nowhere/at/all")
    assert (failed.code, failed.out) == (2, "")
    assert "found A, C, expected A, B, C" in failed.err


@pytest.mark.parametrize("arguments", [[], ["-"]])
@pytest.mark.parametrize("text", [b"Which one?", b"Which one?\n", b"\xef\xbb\xbfWhich one?\r\n"])
def test_a_question_from_a_pipe(ask: Run, arguments: list[str], text: bytes) -> None:
    assert (
        ask(*arguments, "--json", stdin=text).json["letter_logits"]
        == ask("Which one?", "--json").json["letter_logits"]
    )


def test_the_argument_wins_over_a_pipe(ask: Run) -> None:
    assert ask("Which one?", "-r", stdin=b"Another one?").out == ask("Which one?", "-r").out


def test_options_in_piped_text(ask: Run) -> None:
    body = ask("--json", stdin=b"Which one?\r\nA: this\r\nB: that\r\n").json
    assert body["choice"] in ("this", "that")
    assert list(body["probabilities"]) == ["A", "B"]


ELEVEN = [word for number in range(11) for word in ("-c", str(number))]
BAD_INPUT: dict[str, tuple[list[str], bytes, int, str]] = {
    "nothing": ([], b"", 2, "error: The question is empty"),
    "empty": ([""], b"", 2, "error: The question is empty"),
    "blank": ([" \n "], b"", 2, "error: The question is empty"),
    "not UTF-8": ([], b"caf\xe9", 2, "error: The input is not UTF-8 at byte 3. Convert it and try again."),
    "too long": (["x" * 600], b"", 2, "The question has 605 tokens, this bundle takes at most 512. Shorten it"),
    "one choice": (["Q", "-c", "a"], b"", 2, "The number of choices is 1, expected 2 to 10"),
    "eleven choices": (["Q", *ELEVEN], b"", 2, "The number of choices is 11, expected 2 to 10"),
    "options twice": (["Q\nA: a\nB: b", "-c", "a", "-c", "b"], b"", 2, "Use one of the two"),
    "blocks over K": (["Q", "--blocks", "9"], b"", 2, "Got 9 blocks, this model has 0 to 8. Choose fewer"),
    "negative blocks": (
        ["Q", "--blocks", "-1"],
        b"",
        2,
        "--blocks is '-1', expected a whole number of at least 0",
    ),
    "no number": (["Q", "--blocks", "many"], b"", 2, "--blocks"),
    "no such engine": (["Q", "--engine", "gpu"], b"", 2, "--engine is 'gpu', expected one of: auto, ort-cpu"),
    "engine without its device": (
        ["Q", "--engine", "ort-cuda"],
        b"",
        4,
        "ort-cuda finds no GPU to run on. There is no",
    ),
    "no such precision": (["Q", "--precision", "int3"], b"", 2, "--precision is 'int3', expected one of: fp32"),
    "precision not there": (["Q", "--precision", "int8"], b"", 2, "has no int8 variant, it has fp32"),
    "both forms": (["Q", "--json", "-r"], b"", 2, "--json and --raw exclude each other"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(ask: Run, case: str) -> None:
    arguments, stdin, code, message = BAD_INPUT[case]
    failed = ask(*arguments, stdin=stdin)
    assert failed.code == code
    assert message in failed.err
    assert "Traceback" not in failed.err
    assert failed.err.endswith(f"error: {failed.json['error']['message']}\n" if "--json" in arguments else "\n")
    assert failed.out == "" or "--json" in arguments


def test_bad_bundles(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    missing = run("ask", "Q", "--bundle", str(tmp_path / "nowhere"))
    assert (missing.code, missing.out) == (2, "")
    assert "There is no bundle at" in missing.err
    (tiny_bundle / "model.fp32.onnx.data").write_bytes(b"short")
    damaged = run("ask", "Q", "--bundle", str(tiny_bundle))
    assert (damaged.code, damaged.out) == (3, "")
    assert "has 5 bytes, its manifest says 40. Copy the bundle again." in damaged.err


def test_a_failed_self_test_exits_3(run: Run, make_bundle: Callable[..., Path]) -> None:
    failed = run("ask", "Q", "--bundle", str(make_bundle(golden_letter="J")))
    assert (failed.code, failed.out) == (3, "")
    assert "of 4 golden questions were answered differently here" in failed.err


def test_an_engine_that_fails_exits_1(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EngineFailedError("ort-cpu failed on 1 questions")

    monkeypatch.setattr(Engine, "ask", fail)
    failed = ask("Q")
    assert (failed.code, failed.out, failed.err) == (1, "", "error: ort-cpu failed on 1 questions\n")


def test_without_a_bundle_the_demo_answers_and_says_so(run: Run, demo_bundle: Path) -> None:
    answered = run("ask", "Where am I?", "--json")
    assert answered.json["bundle"] == "demo-bundle"
    assert answered.err.startswith("note: this is the embedded demo")
    assert "rim-edge export" in answered.err


@pytest.mark.parametrize("chosen", ["by name", "by path", "by variable", "as the default", "as a copy"])
def test_the_demo_is_named_a_toy_however_it_was_chosen(
    run: Run, demo_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    options: tuple[str, ...] = ()
    if chosen == "by name":
        options = ("--bundle", "demo")
    elif chosen == "by path":
        options = ("--bundle", str(demo_bundle))
    elif chosen == "by variable":
        monkeypatch.setenv("RIM_EDGE_BUNDLE", "demo")
    elif chosen == "as the default":
        run("bundle", "use", "demo")
    else:
        options = ("--bundle", str(shutil.copytree(demo_bundle, tmp_path / "copy")))
    told = run("ask", "Where am I?", "-r", *options).err
    assert told.count("note: this is the embedded demo") == 1


def test_another_bundle_is_no_toy(ask: Run, demo_bundle: Path) -> None:
    assert ask("Where am I?", "-r").err == ""


def test_a_small_lead_is_no_clear_answer(run: Run, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine.load(tiny_bundle) as engine:
        answer = engine.ask("Which?", ["this", "that"])
    for letter, lead, head in [
        ("A", 0.04, "  no clear answer: A (this) leads by 4 points"),
        ("B", 0.199, "  no clear answer: B (that) leads by 20 points"),
        ("B", 0.2, "  B  that   leads by 20 points"),
        ("A", 0.999, "  A  this   leads by > 99 points"),
    ]:
        other = "BA"["AB".index(letter)]
        shares = {letter: 0.5 + lead / 2, other: 0.5 - lead / 2}
        choice = {"A": "this", "B": "that"}[letter]
        given = dataclasses.replace(answer, letter=letter, choice=choice, probabilities=shares, lead=lead)
        monkeypatch.setattr(Engine, "ask", lambda *_, given=given, **__: given)
        shown = run("ask", "Which?", "-c", "this", "-c", "that", "--bundle", str(tiny_bundle))
        assert shown.out.splitlines()[1] == head


def certified(bundle: Path, **entry: object) -> None:
    """Give a bundle a certificate with one variant."""
    told = {"variant": "fp32", "precision": "fp32", "n": 96, "flips": 1, "labelled": 96, "accuracy": 0.75} | entry
    manifest = Bundle.load(bundle).manifest
    body = {"questions": "medical.jsonl", "blocks": 8, "variants": [told]}
    (bundle / CERTIFICATE).write_text(json.dumps(body), encoding="utf-8")
    save_manifest(bundle, dataclasses.replace(manifest, files=file_entries(bundle)))


def test_an_answer_stands_beside_what_it_was_certified_with(ask: Run, tiny_bundle: Path) -> None:
    certified(tiny_bundle)
    known = "  right on 75.0 % of the 96 questions it was certified on; percentages are not calibrated"
    assert known in ask(STEM, *VITAMINS).out.splitlines()
    assert "certified" not in ask(STEM, *VITAMINS, "--blocks", "0").out, "that is another model"


@pytest.mark.parametrize(
    "entry",
    [{"labelled": 0, "accuracy": None}, {"accuracy": 7}, {"accuracy": "good"}, {"precision": "int8"}],
    ids=["no labels", "no share", "no number", "another variant"],
)
def test_an_accuracy_that_is_not_known_is_not_told(ask: Run, tiny_bundle: Path, entry: dict[str, object]) -> None:
    certified(tiny_bundle, **entry)
    assert "certified" not in ask(STEM, *VITAMINS).out


@pytest.mark.parametrize("end", ["\n", " ", "\n\n", "\r\n", " \t\n", "\u00a0", "\u3000\n"])
def test_white_space_around_a_question_changes_nothing(ask: Run, tiny_bundle: Path, end: str) -> None:
    plain = ask("Which one?\nA: this\nB: that", "--json").json["letter_logits"]
    with Engine.load(tiny_bundle) as engine:
        for text in (f"Which one?\nA: this\nB: that{end}", f"{end}Which one?\nA: this\nB: that"):
            assert engine.ask(text).letter_logits == plain
        for choices in (["this", f"that{end}"], [f"{end}this", "that"]):
            assert engine.ask(f"Which one?{end}", choices).letter_logits == plain
    assert ask(f"Which one?\nA: this\nB: that{end}", "--json").json["letter_logits"] == plain
    assert ask("--json", stdin=f"Which one?\nA: this\nB: that{end}".encode()).json["letter_logits"] == plain


def test_a_cache_that_cannot_be_written_is_a_note(
    run: Run, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIM_EDGE_HOME", str(tmp_path / "file"))
    answered = run("ask", "Q", "-r", "--bundle", str(tiny_bundle))
    assert answered.code == 0
    assert "note: The cache folder" in answered.err


def test_a_bare_start_on_a_terminal_is_a_conversation(ask: Run) -> None:
    talked = ask("-r", typed="Which one?\nA: this\nB: that\n\n\nWhere am I?\n\n" + "x" * 600 + "\n\nThe last")
    letters = talked.out.split()
    assert talked.code == 0
    assert len(letters) == 3
    assert letters[0] in ("A", "B")
    assert letters[1:] == [ask("Where am I?", "-r").out.strip(), ask("The last", "-r").out.strip()]
    assert "error: The question has 605 tokens" in talked.err
    assert ask("-c", "a", "-c", "b", typed="").code == 2


DIALOGUE = "What do they speak about?\nA: I have had chest pain since Monday.\nB: Does it get worse?"


def test_no_choices_says_that_there_are_none(run: Run, tiny_bundle: Path) -> None:
    def letters(*options: str) -> list[str]:
        printed = run("ask", DIALOGUE, "--bundle", str(tiny_bundle), "--json", *options)
        return list(json.loads(printed.out)["probabilities"])

    assert letters() == ["A", "B"]
    assert letters("--no-choices") == list("ABCDEFGHIJ")
    refused = run("ask", DIALOGUE, "-c", "x", "-c", "y", "--no-choices")
    assert (refused.code, "--choice and --no-choices exclude each other" in refused.err) == (2, True)
