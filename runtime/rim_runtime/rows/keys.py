"""The keys of rows: which are read, which belong to a known form and are left alone, and which look misspelt."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rim_runtime.errors import RowError

QUESTIONS = ("question", "Question", "question_stem")
"""Where the question stands: ours and most sets; CMMLU; OpenBookQA."""
OPTIONS = ("options", "choices")
"""Where the options stand together."""
ANSWERS = ("answer", "Answer", "answer_idx", "answer_index", "answer_text", "answerKey", "correct", "cop")
"""Where the right answer stands: ours; CMMLU; MedQA; MMLU-Pro; a text beside a letter; ARC; AQuA; MedMCQA."""
SUBJECTS = ("subject", "subject_name", "category")
"""Where the question's field stands: MMLU and ours; MedMCQA; MMLU-Pro."""
_COLUMN = re.compile(r"([A-Z])|([a-j])|(?i:(?!options$|choices$|opt$)(?:op|opt|option|choice)[ _-]?([a-z]|[0-9]))")
"""An option in a column of its own: `A` (C-Eval, CMMLU), `opa` (MedMCQA), `option_a`, `Option 1`."""

_READ = frozenset((*QUESTIONS, *OPTIONS, *ANSWERS, "letters", "steps", "id"))
_METADATA = frozenset(
    {
        *("qid", "idx", "question_id", "split", "source", "src", "dataset", "type", "question_type", "difficulty"),
        *(*SUBJECTS, "topic", "topic_name", "choice_type"),
        *("meta_info", "metamap_phrases", "exp", "explanation", "rationale", "cot_content", "long_answer"),
        *("term", "description", "facts", "decomposition", "evidence", "other", "level", "solution"),
    }
)
"""Keys of the known forms that are neither question nor options nor answer."""
_OFTEN_MISSPELT = ("question", "options", "choices", "answer", "answer_idx", "answerKey", "steps")


def subject_of(row: Mapping[str, Any]) -> str | None:
    """Return the field that a row's question belongs to, such as Anatomy; None where none is named."""
    named = (row[key].encode(errors="replace").decode() for key in SUBJECTS if isinstance(row.get(key), str))
    return next((text.strip() for text in named if text.strip()), None)


def columns_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of single options as `{key: label}`, in order; empty ones at the end count as none."""
    labels = {key: label for key in row if (label := _label(key))}
    found = sorted(labels, key=labels.__getitem__)
    while found and row[found[-1]] is None:
        found.pop()
    return {key: labels[key] for key in found}


def given_answers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of the right answer that hold something. MedMCQA's -1 is no answer.

    `correct` counts only where there is no `answer`: elsewhere it may say whether somebody was right.
    """
    given = {key: row[key] for key in ANSWERS if not _is_none(row.get(key))}
    if given.get("cop") == -1:
        del given["cop"]
    if len(given) > 1:
        given.pop("correct", None)
    return given


def ignored_keys(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys with a value that nothing reads. Raises RowError for one that looks misspelt."""
    columns = columns_of(row)
    unknown = [key for key, value in row.items() if key not in _READ and key not in columns and value is not None]
    for key in unknown:
        meant = None if key in _METADATA else _meant(key)
        if meant is not None and meant not in row:
            raise RowError(f"there is the key '{key}', expected '{meant}'. Rename it.")
    unread = ["correct"] if not _is_none(row.get("correct")) and "correct" not in given_answers(row) else []
    return tuple([key for key in unknown if key not in _METADATA] + unread)


@lru_cache(1_000)  # the same keys come in every row
def _label(key: str) -> str:
    match = _COLUMN.fullmatch(key)
    return str(match[match.lastindex or 0]).upper() if match else ""


@lru_cache(1_000)
def _meant(key: str) -> str | None:
    return next(iter(difflib.get_close_matches(key.lower(), _OFTEN_MISSPELT, 1, 0.8)), None)


def _is_none(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
