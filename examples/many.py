"""Answer a file of questions in batches and count the right ones.

    python examples/many.py path/to/bundle questions.jsonl

Each line is {"question": text, "options": [text, …], "answer": letter}; options may stand in the text instead.
"""

import json
import sys
from pathlib import Path

from rim_runtime import Engine, Question

bundle, file = sys.argv[1:]
rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
questions = [Question(row["question"], row.get("options", ())) for row in rows]

with Engine.load(bundle, progress=lambda text: print(text, file=sys.stderr)) as engine:
    answers = engine.ask_many(questions)

right = sum(row["answer"] == answer.letter for row, answer in zip(rows, answers, strict=True))
print(f"{right} of {len(rows)} right")
