"""One question in every form that rows of public sets have; the letter is C in all of them."""

from __future__ import annotations

from typing import Any

ORGANS = ["Liver", "Spleen", "Heart", "Lung"]
BY_LETTER = dict(zip("ABCD", ORGANS, strict=True))
RENDERED = "Which?\nA: Liver\nB: Spleen\nC: Heart\nD: Lung"
MEDMCQA = {"question": "Which?", "opa": "Liver", "opb": "Spleen", "opc": "Heart", "opd": "Lung"}

FORMS: dict[str, dict[str, Any]] = {
    "ours, an object": {"question": "Which?", "options": BY_LETTER, "answer": "C"},
    "ours, a list": {"question": "Which?", "options": ORGANS, "answer": "C", "steps": ["It beats."]},
    "ours, choices": {"question": "Which?", "choices": ORGANS, "answer": "C"},
    "ours, the option's text": {"question": "Which?", "options": ORGANS, "answer": "Heart"},
    "ours, white space": {"question": "Which?", "options": ORGANS, "answer": " C\n"},
    "ours, in the text": {"question": RENDERED, "answer": "C"},
    "ours, in the text, as text": {"question": RENDERED, "answer": "Heart"},
    "MedQA": {
        "question": "Which?",
        "answer": "Heart",
        "options": BY_LETTER,
        "meta_info": "step1",
        "answer_idx": "C",
        "metamap_phrases": ["beats"],
    },
    "MedQA, BigBIO": {
        "question": "Which?",
        "options": [{"key": key, "value": value} for key, value in BY_LETTER.items()],
        "answer_idx": "C",
        "answer": "Heart",
    },
    "MedMCQA, letter": {**MEDMCQA, "cop": "c", "choice_type": "single", "exp": "It beats.", "subject_name": "x"},
    "MMLU": {"question": "Which?", "choices": ORGANS, "answer": 2, "subject": "anatomy"},
    "MMLU-Pro": {"question": "Which?", "options": ORGANS, "answer": "C", "answer_index": 2, "cot_content": ""},
    "ARC": {"id": "x", "question": "Which?", "choices": {"text": ORGANS, "label": list("ABCD")}, "answerKey": "C"},
    "ARC, digits": {"question": "Which?", "choices": {"text": ORGANS, "label": list("1234")}, "answerKey": "3"},
    "ARC, numbers": {"question": "Which?", "choices": {"text": ORGANS, "label": list("1234")}, "answerKey": 3},
    "ARC, original": {
        "question": {
            "stem": "Which?",
            "choices": [{"text": text, "label": label} for label, text in BY_LETTER.items()],
        },
        "answerKey": "C",
    },
    "OpenBookQA": {
        "question_stem": "Which?",
        "choices": {"label": list("ABCD"), "text": ORGANS},
        "answerKey": "C",
    },
    "AQuA": {
        "question": "Which?",
        "options": ["A)Liver", "B)Spleen", "C)Heart", "D)Lung"],
        "rationale": "It beats.",
        "correct": "C",
    },
    "AGIEval": {"question": "Which?", "options": ["(A)Liver", "(B)Spleen", "(C)Heart", "(D)Lung"], "answer": "C"},
    "C-Eval": {"id": 0, "question": "Which?", **BY_LETTER, "answer": "C", "explanation": ""},
    "CMMLU": {"Question": "Which?", **BY_LETTER, "Answer": "C"},
    "columns in another order, E empty": {"answer": "C", "E": None, **dict(reversed(BY_LETTER.items()))}
    | {"question": "Which?"},
    "named columns": {"question": "Which?", **{f"option_{k.lower()}": v for k, v in BY_LETTER.items()}}
    | {"answer": "C"},
}
