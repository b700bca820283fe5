"""Which questions serve what: no order matters, none serves twice, none counts twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import derive_contract
from rim_export.question_parts import CHOICE_QUESTIONS, GOLDEN_CANDIDATES, divide, draw, essence, once
from rim_export.question_sets import read_calibration, read_certificate_questions
from rim_export.questions import CALIBRATION_SET, CERTIFICATE_SET, LabelledQuestion, read_questions
from rim_runtime.errors import RowError
from rim_runtime.prompt.encoder import PromptEncoder

from tests.places import DEMO_FOLDER, DEMO_PACKAGE

SHIPPED = read_questions(CERTIFICATE_SET).asked


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    """The demo's."""
    checkpoint = Checkpoint.open(DEMO_PACKAGE / "checkpoint")
    assert checkpoint.rim
    contract = derive_contract(checkpoint.load_tokenizer(), checkpoint.rim)
    return PromptEncoder.load(contract, DEMO_FOLDER / "tokenizer.json", 900)


def written(path: Path, *texts: str) -> Path:
    path.write_text("".join(json.dumps({"question": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def test_256_questions_ship_besides_the_candidates() -> None:
    parts = divide(SHIPPED, None, keep_going=False)
    assert (len(parts.golden), len(parts.choice), len(parts.certified)) == (32, 0, 256)
    assert len({essence(question.text) for question in SHIPPED}) == len(SHIPPED)
    assert all(question.answer for question in SHIPPED)
    taken = {essence(question.text) for question in read_questions(CALIBRATION_SET).asked}
    assert not taken & {essence(question.text) for question in SHIPPED}


@pytest.mark.parametrize("keep_going", [False, True])
def test_the_order_of_a_file_plays_no_part(keep_going: bool) -> None:
    """A sorted file would put one subject into the pool if it were cut by place."""
    parts = divide(SHIPPED, None, keep_going=keep_going)
    turned = divide(SHIPPED[::-1], None, keep_going=keep_going)
    for one, other in zip(
        (parts.golden, parts.choice, parts.certified),
        (turned.golden, turned.choice, turned.certified),
        strict=True,
    ):
        assert set(one) == set(other)
    assert set(parts.golden) != set(SHIPPED[: len(parts.golden)])


@pytest.mark.parametrize("count", [12, 13, 96, 2_000])
@pytest.mark.parametrize("keep_going", [False, True])
def test_no_question_serves_twice_and_none_is_lost(count: int, keep_going: bool) -> None:
    """Doubles that differ in signs alone count, but stay on one side."""
    asked = [LabelledQuestion(f"What is {number // 2} {'+-'[number % 2]} 1", None) for number in range(count)]
    parts = divide(tuple(asked), None, keep_going=keep_going)
    sides = [{essence(question.text) for question in side} for side in (parts.pool, parts.certified)]
    assert not sides[0] & sides[1]
    assert sorted(question.text for question in parts.everything) == sorted(question.text for question in asked)
    assert 4 <= len(parts.golden) <= GOLDEN_CANDIDATES
    assert len(parts.choice) <= CHOICE_QUESTIONS * keep_going
    assert len(parts.certified) >= count // 3


def test_draw_takes_as_many_as_are_asked_for() -> None:
    asked = [LabelledQuestion(f"Question {number}?", None) for number in range(50)]
    first, others = draw(asked, 20)
    assert (len(first), len(others)) == (20, 30)


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("Which one?\nA: this", "which one ?\nA: This.", True),
        ("It is 1.5", "It is 15", False),
        ("It is 3-2", "It is 3+2", False),
        ("It is f'(x)", "It is f(x)", False),
        ("Ends here.", "Ends here", True),
    ],
)
def test_what_makes_another_question(text: str, other: str, same: bool) -> None:
    assert len(once([LabelledQuestion(text, None), LabelledQuestion(other, None)])) == (1 if same else 2)


def test_repetitions_are_counted_and_said(encoder: PromptEncoder, tmp_path: Path) -> None:
    texts = [f"Who is {number}?" for number in range(12)]
    path = written(tmp_path / "rows.jsonl", *texts, *(text.upper() for text in texts), texts[0])
    read = read_certificate_questions(path, encoder)
    assert len(read.parts.everything) == 12
    assert "13 certificate questions come again and count once." in read.notes


def test_golden_questions_of_another_file(encoder: PromptEncoder, tmp_path: Path) -> None:
    """All of the certificate's own questions are compared then, and none of them is golden."""
    texts = [f"Who is {number}?" for number in range(12)]
    certify = written(tmp_path / "rows.jsonl", *texts)
    places = [f"Where is {number}?" for number in range(5)]
    golden = written(tmp_path / "golden.jsonl", texts[0], *places)
    read = read_certificate_questions(certify, encoder, golden)
    assert [question.text for question in read.parts.certified] == texts
    assert sorted(question.text for question in read.parts.golden) == [
        f"Where is {number}?" for number in range(5)
    ]
    assert (read.source.name, read.golden_source.name) == ("rows.jsonl", "golden.jsonl")
    assert any("1 questions of golden.jsonl are the certificate's" in note for note in read.notes)
    few = written(tmp_path / "few.jsonl", *texts, "Where?", "When?")
    with pytest.raises(RowError, match=r"14 candidates .*, 2 different ones that are not the certificate's"):
        read_certificate_questions(certify, encoder, few)


def test_calibration_keeps_apart_from_all_of_them(encoder: PromptEncoder, tmp_path: Path) -> None:
    texts = [f"Who is {number}?" for number in range(30)]
    parts = read_certificate_questions(written(tmp_path / "rows.jsonl", *texts[:12]), encoder).parts
    read = read_calibration(written(tmp_path / "calibration.jsonl", *texts), encoder, parts.everything)
    assert sorted(read.texts) == sorted(texts[12:])
    assert len(read.sha256) == 64
