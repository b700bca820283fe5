"""Calibration sets: what is accepted, what is left out, what is refused, and what is measured."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import rim_export
import torch
from rim_export.errors import CalibrationError
from rim_export.measure.calibration import observe
from rim_export.question_sets import MOST_ANSWER_TOKENS, CalibrationSet, check_question_files, read_calibration
from rim_export.questions import (
    CALIBRATION_SET,
    CERTIFICATE_SET,
    LabelledQuestion,
    read_questions,
)
from rim_runtime.bundle.manifest import Dialect, Precision
from rim_runtime.errors import InputError, RimError, RowError
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.testing import byte_tokenizer, fake_manifest
from safetensors.torch import load_file, save_file

from tests.export.conftest import TinyCheckpoint

ROWS = [{"question": f"What is {number}?", "options": {"A": "odd", "B": "even"}} for number in range(20)]


@pytest.fixture
def encoder() -> PromptEncoder:
    return PromptEncoder(fake_manifest().prompt, byte_tokenizer(), 100)


def write(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_shipped_set_is_disjoint_from_the_certificate() -> None:
    calibration, certificate = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (CALIBRATION_SET, CERTIFICATE_SET)
    )
    assert len(calibration) == len({row["id"] for row in calibration}) == 64
    assert not {row["id"] for row in calibration} & {row["id"] for row in certificate}
    assert not {row["question"].lower() for row in calibration} & {row["question"].lower() for row in certificate}
    assert len(read_questions(CALIBRATION_SET).asked) == 64


def test_shared_and_long_questions_are_left_out_with_a_note(encoder: PromptEncoder, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl.gz"
    with gzip.open(file, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in [*ROWS, {"question": "long " * 100}])
    certified = [LabelledQuestion(f"what is {number}\nA: odd\nB: EVEN", None) for number in (3, 4)]
    found = read_calibration(file, encoder, certified)
    assert len(found.prompts) == len(found.texts) == 18
    assert found.name == "mine.jsonl.gz"
    assert found.notes == (
        "2 calibration questions are in the certificate too and were left out.",
        "1 calibration questions are over the limit and were left out.",
    )
    assert found.prompts[0] == encoder.compose(found.texts[0]).ids


def test_answers_in_words_are_measured_where_text_is_written(encoder: PromptEncoder, tmp_path: Path) -> None:
    rows = [{"question": f"How much is {n} and 1?", "answer": f"It is {n + 1}.\n#### {n + 1}"} for n in range(8)]
    file = write(tmp_path / "rows.jsonl", [*rows, *ROWS])
    letters, text = (read_calibration(file, encoder, [], text=text) for text in (False, True))
    assert (letters.answers, text.answers) == (0, 8)
    assert letters.prompts[0] == encoder.compose(rows[0]["question"]).ids
    asked = encoder.compose_text(rows[0]["question"], encoder.contract.blocks)
    assert text.prompts[0] == (*asked, *encoder.encode_answer(rows[0]["answer"]))
    assert letters.prompts[8:] == text.prompts[8:]  # their answers are letters
    assert text.notes == ("8 of 28 calibration questions are measured with their answers.",)
    long = [{**row, "answer": 2_000 * "very "} for row in rows]
    read = read_calibration(write(tmp_path / "long.jsonl", long), encoder, [], text=True)
    assert {len(prompt) for prompt in read.prompts} == {len(asked) + MOST_ANSWER_TOKENS}


BAD: dict[str, tuple[list[Any], type[RimError], str]] = {
    "empty": ([], RowError, "is empty, expected rows"),
    "one row": (ROWS[:1], CalibrationError, "1 are left, expected at least 8"),
    "wrong fields": ([{"text": "Why?"}], RowError, "line 1: 'question' is None"),
    "wrong options": ([*ROWS, {"question": "Why?", "options": 3}], RowError, "line 21: 'options' is 3"),
    "all long": (
        [{"question": letter * 500} for letter in "abcdefghi"],
        CalibrationError,
        "9 are over the limit of 100 tokens",
    ),
    "all certified": (ROWS[:2] * 9, CalibrationError, "18 are the certificate's"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_cannot_be_used(case: str, encoder: PromptEncoder, tmp_path: Path) -> None:
    rows, error, message = BAD[case]
    certified = [LabelledQuestion(f"What is {number}?\nA: odd\nB: even", None) for number in (0, 1)]
    file = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(error, match=message):
        read_calibration(file, encoder, certified if "certified" in case else [])


def test_repeated_questions_count_once(encoder: PromptEncoder, tmp_path: Path) -> None:
    found = read_calibration(write(tmp_path / "rows.jsonl", [*ROWS, *ROWS[:5]]), encoder, [])
    assert (len(found.texts), found.notes) == (20, ("5 calibration questions come again and were left out.",))
    with pytest.raises(CalibrationError, match="1 are left, expected at least 8"):
        read_calibration(write(tmp_path / "again.jsonl", 30 * ROWS[:1]), encoder, [])


@pytest.mark.parametrize("case", [case for case in BAD if case != "all long"])
def test_most_are_refused_before_there_is_a_tokenizer(case: str, tmp_path: Path) -> None:
    rows, error, message = BAD[case]
    others = [{"question": f"Who is {number}?"} for number in range(12)]
    certify = write(tmp_path / "certify.jsonl", [*(ROWS[:2] if "certified" in case else []), *others])
    with pytest.raises(error, match=message):
        check_question_files(certify, None, write(tmp_path / "rows.jsonl", rows))


def test_no_json_and_no_file(encoder: PromptEncoder, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(RowError, match="line 1: no JSON"):
        read_calibration(tmp_path / "bad.jsonl", encoder, [])
    with pytest.raises(RowError, match="There is no file"):
        read_calibration(tmp_path / "none.jsonl", encoder, [])


def test_questions_that_give_no_numbers_are_named(damaged: Path, tmp_path: Path) -> None:
    """One token's embedding overflows; only one calibration question, and no certificate question, has it."""
    from transformers import AutoTokenizer

    word = " Hufflepuff"
    ids = AutoTokenizer.from_pretrained(damaged).encode(word)
    file = damaged / "model.safetensors"
    weights = load_file(file)
    weights["model.embed_tokens.weight"][ids[-1]] = torch.inf
    save_file(weights, file, metadata={"format": "pt"})
    rows = write(tmp_path / "rows.jsonl", [*ROWS, {"question": f"Who is{word}?"}])
    options = rim_export.ExportOptions(precision=Precision.FP8, calibration=rows, max_flips=1.0)
    with pytest.raises(
        CalibrationError, match=r"Layer 0 gives .* 1 of 21 questions of rows\.jsonl, first on 'Who"
    ):
        rim_export.export(damaged, tmp_path / "out" / "bundle", options)
    assert not list((tmp_path / "out").iterdir())


def test_what_is_measured(tied_checkpoint: TinyCheckpoint) -> None:
    """Ranges and channels are those of the activations in transformers' own run."""
    from rim_export.checkpoint.folder import Checkpoint
    from rim_export.weights.model_weights import ModelWeights
    from rim_runtime.bundle.manifest import Head

    prompts = (tuple(range(40, 60)), tuple(range(90, 97)))
    weights = ModelWeights(Checkpoint.open(tied_checkpoint.path), {}, Head.LETTERS)
    seen = list(observe(weights, CalibrationSet("two", ("a", "b"), prompts, ()), lambda _: None))
    down = tied_checkpoint.model.model.layers[1].mlp.down_proj
    inputs: list[torch.Tensor] = []
    hook = down.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0][0]))
    with torch.no_grad():
        for prompt in prompts:
            tied_checkpoint.model(torch.tensor([prompt]))
    hook.remove()
    expected = torch.cat(inputs).abs()
    reach = seen[1].reaches["backbone.layers.1.mlp.down_proj.weight"]
    torch.testing.assert_close(reach.channels, expected.amax(dim=0), atol=1e-4, rtol=1e-4)
    assert reach.largest == pytest.approx(float(expected.max()), rel=1e-4)
    assert len(seen) == 3
    assert len(seen[0].reaches) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration": Path("x"), "precision": Precision.FP32}, "measures no activations"),
        (
            {"calibration": Path("x"), "precision": Precision.INT8, "rounding": rim_export.Rounding.NEAREST},
            "measures no activations",
        ),
        ({"precision": Precision.FP32, "rounding": rim_export.Rounding.NEAREST}, "rounding nearest was chosen"),
        ({"smooth": True, "precision": Precision.FP8}, "smooth was chosen, but the precision is fp8"),
        ({"block_size": 32}, "block_size 32 was chosen, but the precision is int8"),
        ({"block_size": 48, "precision": Precision.INT4}, "block_size is 48, expected 32 or 128"),
        ({"activations": rim_export.Activations.ROW}, "activations row was chosen"),
        ({"ranges": rim_export.RangeMethod.MSE}, "ranges mse was chosen"),
        ({"dialect": Dialect.ORT}, "no ort form of int8, expected portable"),
    ],
)
def test_options_that_do_not_belong_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rim_export.ExportOptions(**options)
