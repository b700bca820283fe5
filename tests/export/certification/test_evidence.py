"""What few questions cannot show is said, and what they cannot pass is refused before anything is converted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rim_export
from rim_export.certification.attempts import Tolerance
from rim_export.certification.evidence import few_questions_note, needed, require_enough
from rim_runtime.errors import InputError, RowError

from tests.places import DEMO_PACKAGE


@pytest.mark.parametrize(("share", "questions"), [(0.01, 368), (0.02, 183), (0.05, 72)])
def test_how_many_questions_are_needed(share: float, questions: int) -> None:
    """(1 - share)^n = 0.025."""
    assert needed(share) == questions
    require_enough(questions, Tolerance(0.02, keep_going=False, max_flips_upper=share))
    with pytest.raises(RowError, match=f"Give at least {questions} with --certify"):
        require_enough(questions - 1, Tolerance(0.02, keep_going=False, max_flips_upper=share))


def test_few_questions_are_noted() -> None:
    tolerance = Tolerance(0.02, keep_going=False)
    note = few_questions_note(8, tolerance)
    assert note
    assert (
        "has 8 questions: it shows large damage, but even without a flip among them 36.9% of all answers" in note
    )
    assert "(--certify) show more, 183 for 2.0%." in note
    assert few_questions_note(256, tolerance) is None
    assert few_questions_note(8, Tolerance(1.0, keep_going=False)) is None
    assert few_questions_note(256, Tolerance(0.0, keep_going=False)), "no number of questions excludes every flip"


def test_a_bound_that_no_answers_could_meet_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rim_export.pipeline.convert", lambda *_: pytest.fail("it should not begin"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"Who is {number}?"}) + "\n" for number in range(12)))
    options = rim_export.ExportOptions(certify=rows, max_flips_upper=0.05)
    with pytest.raises(RowError, match="has 8 questions: even without any flip"):
        rim_export.export(DEMO_PACKAGE / "checkpoint", tmp_path / "out" / "bundle", options)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("upper", [0.0, -0.1, 1.1])
def test_bounds_that_are_no_shares(upper: float) -> None:
    with pytest.raises(InputError, match="expected a share above 0"):
        rim_export.ExportOptions(max_flips_upper=upper)
