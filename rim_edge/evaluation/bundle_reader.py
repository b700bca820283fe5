"""Read letters of a bundle, in the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rim_runtime.engine import Engine
from rim_runtime.errors import QuestionError, QuestionTooLongError
from rim_runtime.prompt.options import offered_letters
from rim_runtime.question import Question

from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Kind, Reading, Subject


class BundleReader:
    """Reads letters of an engine."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        manifest = engine.manifest
        self.blocks = manifest.prompt.blocks
        self.subject = Subject(
            kind=Kind.BUNDLE,
            name=engine.bundle,
            path=str(folder.absolute()),
            sha256=manifest.sha256,
            engine=engine.name,
            precision=engine.precision,
        )

    def refusal(self, item: Item) -> str | None:
        """Return why an item cannot be asked; None if it can."""
        if not item.letters:
            return "answered with text, and a bundle reads letters (a checkpoint writes, too: --model DIR)"
        try:
            self._engine.check(_question(item))
        except QuestionTooLongError as error:
            return f"longer than the {error.limit:,} tokens that this bundle takes"
        except QuestionError:
            return "no question that this bundle can be asked ('rim-edge ask' says why)"
        return None

    def read(self, items: Sequence[Item], others: Sequence[Item | None], budgets: range) -> list[Reading]:
        """Return the letters of each item; a bundle has no blocks of another question, so `others` is not used."""
        questions = [_question(item) for item in items]
        asked = {blocks: self._engine.ask_many(questions, blocks=blocks) for blocks in budgets}
        return [
            Reading(
                by_blocks={blocks: answers[place].letter for blocks, answers in asked.items()},
                probabilities=asked[budgets[-1]][place].probabilities,
            )
            for place in range(len(items))
        ]


def _question(item: Item) -> Question:
    """Return an item as it is asked: where its letters are not those in its text, the text has no options."""
    return Question(item.question, None if item.letters == offered_letters(item.question) else ())
