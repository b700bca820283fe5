"""One answer after another, each as the question, the bundle and the options want it, printed in one form."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rim_edge.cli.asking.form import Form
from rim_edge.cli.output import error_text, note, print_json
from rim_edge.cli.show.lead import ClearLead
from rim_edge.cli.show.numbers import points
from rim_edge.cli.show.sureness import Abstained

if TYPE_CHECKING:
    from pathlib import Path

    from rim_runtime.answer import Answer
    from rim_runtime.calibration import Calibration
    from rim_runtime.engine import Engine
    from rim_runtime.generate.readout import Readout
    from rim_runtime.question import Question

    from rim_edge.cli.asking.writing_options import WritingOptions
    from rim_edge.cli.show.sureness import Sureness


@dataclass(frozen=True)
class Wanted:
    """How questions are answered."""

    blocks: int | None
    """Memory blocks; None: all."""
    readout: Readout
    """How letters are read."""
    words: WritingOptions | None
    """How text is written where a question has no options; None: it is answered by a letter too."""
    permute: bool = False
    """Whether a letter is the mean over all orders of a rotation of its options."""
    least: float | None = None
    """The calibrated confidence below which no answer is given; None: all are given."""

    def words_for(self, question: Question) -> WritingOptions | None:
        """Return how a question is answered in words; None: by a letter.

        Raises QuestionError where something is wanted that letters alone have.
        """
        from rim_runtime.errors import QuestionError

        if self.readout == "generate" or question.offered() or self.words is None:
            return None
        given = {"--permute": self.permute, "--min-confidence": self.least is not None}
        for name in (name for name, is_given in given.items() if is_given):
            raise QuestionError(
                f"{name} is for letters, and a question without options is answered in words here. Add options "
                "to the question, or leave it out."
            )
        return self.words


class Answering:
    """Answers questions on an engine."""

    def __init__(self, engine: Engine, folder: Path, wanted: Wanted) -> None:
        """Keep a bundle's engine and its folder."""
        from rim_edge.cli.opening import is_demo

        self._engine, self._folder, self._wanted = engine, folder, wanted
        self._told = False
        self._clear = ClearLead.DEMO if is_demo(engine.manifest) else ClearLead.MODEL

    def body(self, question: Question) -> dict[str, Any]:
        """Return an answer as JSON has it."""
        words = self._wanted.words_for(question)
        if words is not None:
            from rim_edge.cli.asking.writing import written

            return written(self._engine, question, self._wanted.blocks, words)
        if self._generates:
            return dataclasses.asdict(self._generated(question))
        answer, orders = self._letter(question)
        return self._calibrated(answer).letter_body | orders

    def print(self, question: Question, form: Form) -> None:
        """Answer a question and print it; a note says where the demo knows nothing of it."""
        words = self._wanted.words_for(question)
        if words is not None:
            from rim_edge.cli.asking.writing import write_answer

            write_answer(self._engine, question, self._wanted.blocks, words, form)
        elif self._generates:
            from rim_edge.cli.asking.readout import print_generated

            print_generated(self._generated(question), question.offered(), form)
        else:
            self._print_letter(question, *self._letter(question), form)

    @property
    def _generates(self) -> bool:
        return self._wanted.readout == "generate"

    def _letter(self, question: Question) -> tuple[Answer, dict[str, Any]]:
        """Return an answer, and what JSON has besides of the orders that it was asked in."""
        if not self._wanted.permute:
            return self._engine.ask(question.text, question.choices, blocks=self._wanted.blocks), {}
        from rim_runtime.permuted import ask_permuted

        found = ask_permuted(self._engine, question, blocks=self._wanted.blocks)
        return found.answer, {"permuted": {"orders": list(found.orders), "agreement": found.agreement}}

    def _generated(self, question: Question) -> Any:
        return self._engine.generate_letter(question.text, question.choices, blocks=self._wanted.blocks)

    def _print_letter(self, question: Question, answer: Answer, orders: dict[str, Any], form: Form) -> None:
        sure = self._calibrated(answer)
        if form is Form.JSON:
            print_json(sure.letter_body | orders)
        elif form is Form.RAW:
            if not sure.is_held_back:
                print(answer.letter, flush=True)
        else:
            self._show(question, answer, sure)
        if sure.is_held_back:
            raise Abstained
        if self._is_foreign(answer):
            note(f"the demo does not know: {answer.letter} leads by {points(answer.lead)}")

    def _calibrated(self, answer: Answer) -> Sureness:
        from rim_edge.cli.show.sureness import Sureness

        found = None if self._wanted.permute else self._calibration(answer)  # a mean was not what was calibrated
        return Sureness(answer, found, self._wanted.least)

    def _calibration(self, answer: Answer) -> Calibration | None:
        """Return what is known of such answers; a note says so where nobody can read it, unless it is needed."""
        from rim_runtime.calibration import find_calibration
        from rim_runtime.errors import InputError

        try:
            return find_calibration(self._engine.manifest, answer.precision, answer.blocks)
        except InputError as error:
            if self._wanted.least is not None:
                raise
            if not self._told:
                note(f"answers are not calibrated: {error_text(error)}")
            self._told = True
            return None

    def _show(self, question: Question, answer: Answer, sure: Sureness) -> None:
        from rim_runtime.bundle.folder import Bundle

        from rim_edge.cli.show.answer import print_answer
        from rim_edge.cli.show.proof import known_accuracy, read_proofs

        proofs = read_proofs(Bundle(self._folder, self._engine.manifest).certificate())
        known = None if self._is_foreign(answer) else known_accuracy(proofs, answer.precision, answer.blocks)
        foreign = self._is_foreign(answer) and sure.least is None  # no calibration holds for what it never saw
        print_answer(answer, question.offered(), self._clear, known, None if foreign else sure)

    def _is_foreign(self, answer: Answer) -> bool:
        """Whether the demo was asked something that is none of its puzzles, on which alone it was certified."""
        return self._clear is ClearLead.DEMO and not self._clear.reached(answer)
