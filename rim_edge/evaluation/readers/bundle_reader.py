"""Read answers of a bundle, in the runtime: letters in one pass, and texts where it has a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rim_runtime.answer import Answer
from rim_runtime.bundle.roles import Ability, abilities
from rim_runtime.engine import Engine
from rim_runtime.errors import InputError, QuestionError, QuestionTooLongError
from rim_runtime.generate.readout import bare_letter
from rim_runtime.permuted import ask_permuted, separated
from rim_runtime.prompt.contract import TextForm
from rim_runtime.prompt.options import offered_letters
from rim_runtime.question import Question

from rim_edge.evaluation.items import Item
from rim_edge.evaluation.readers.bundle_texts import BundleTexts
from rim_edge.evaluation.reading import Given, Kind, Reading, Subject
from rim_edge.evaluation.way import Manner, Way

_FORMS = {
    Way.LETTER: TextForm.READOUT,
    Way.OPEN: TextForm.READOUT,
    Way.CHAIN: TextForm.CHAT,
    Way.ZERO_SHOT: TextForm.CHAT,
    Way.LATENT: TextForm.MODEL,
}
"""What the text of each way follows; of a letter, the text whose first token is looked at."""
_WARM_UP = 64
"""Tokens of the question that is asked for nothing, so that the first one's time is like the others'."""
_TOGETHER = 64
"""Letters that are asked for at once."""


class BundleReader:
    """Reads answers of an engine."""

    def __init__(self, engine: Engine, folder: Path, manner: Manner | None = None) -> None:
        """Ask in one manner. Raises InputError for a way that the bundle cannot be asked in."""
        self._engine, self._manner = engine, manner or Manner()
        manifest = engine.manifest
        self._writes = Ability.TEXT in abilities(manifest)
        self._refuse_way()
        if self._manner.one_by_one:
            engine.warm_up(min(_WARM_UP, manifest.limits.question_tokens))
        self._texts = BundleTexts(engine, self._manner)
        way = self._manner.way
        self.blocks = manifest.prompt.blocks if way is None or way.has_blocks else 0
        reads_alone = way is Way.LETTER or not self._writes
        self.at_once = _TOGETHER if reads_alone and not self._manner.one_by_one else 1
        self.subject = Subject(
            kind=Kind.BUNDLE,
            name=engine.bundle,
            path=str(folder.absolute()),
            sha256=manifest.sha256,
            engine=engine.name,
            precision=engine.precision,
        )

    def _refuse_way(self) -> None:
        way, name = self._manner.way, self._engine.bundle
        if way is Way.LATENT and Ability.LATENT not in abilities(self._engine.manifest):
            raise InputError(
                f"The bundle {name} takes no latent steps, expected one of a model that was trained to. Ask it in "
                "another way: --as letter, open, chain or zero-shot"
            )
        if self._manner.permute and way not in (None, Way.LETTER):
            raise InputError(f"--permute is for letters, and --as {way} writes a text. Leave one of them out.")
        if way not in (None, Way.LETTER) and not self._writes:
            raise InputError(
                f"The bundle {name} answers with letters alone, and --as {way} needs one that writes text. Export "
                "it with: rim-edge export --answers text"
            )

    def refusal(self, item: Item) -> str | None:
        """Return why an item cannot be asked; None if it can."""
        way = self._manner.way_of(item)
        if way is Way.LETTER and not item.letters:
            return "answered with text, and a letter is read (--as open writes)"
        if way is not Way.LETTER and not self._writes:
            return "answered with text, and this bundle reads letters (one exported with --answers text writes)"
        try:
            question = self._question(item)
            if way is Way.LETTER:
                self._engine.check(question)
                if self._manner.permute and not _has_options(question):
                    return "without options that can be put in another order (--permute)"
            elif not self._texts.has_room(question, way):
                tokens = self._manner.tokens_of(way)
                return f"so long that an answer of {tokens:,} tokens (--max-tokens) does not fit behind it"
        except QuestionTooLongError as error:
            return f"longer than the {error.limit:,} tokens that this bundle takes"
        except QuestionError:
            return "no question that this bundle can be asked ('rim-edge ask' says why)"
        return None

    def read(self, items: Sequence[Item], others: Sequence[Item | None], budgets: range) -> list[Reading]:
        """Return the answers to each item; a bundle has no blocks of another question: `others` is not used."""
        found: list[dict[int, Given]] = [{} for _ in items]
        letters = [place for place, item in enumerate(items) if self._manner.way_of(item) is Way.LETTER]
        for blocks in budgets:
            for place, answer in zip(letters, self._ask([items[place] for place in letters], blocks), strict=True):
                found[place][blocks] = self._given(answer)
        for place, item in enumerate(items):
            if (way := self._manner.way_of(item)) is not Way.LETTER:
                question = self._question(item)
                found[place] = {blocks: self._texts.write(question, item, way, blocks) for blocks in budgets}
        first = {place: self._first_is_letter(items[place], budgets[-1]) for place in letters if self._writes}
        return [Reading(by_blocks, first_is_letter=first.get(place)) for place, by_blocks in enumerate(found)]

    def _first_is_letter(self, item: Item, blocks: int) -> bool:
        """Whether the likeliest token of all, where the letter is read, is a letter by itself."""
        text = self._engine.generate(self._question(item), blocks=blocks, max_tokens=1).result()
        return bare_letter(text.tokens, self._engine.manifest.letters) is not None

    def _ask(self, items: Sequence[Item], blocks: int) -> list[Answer]:
        """Return the letters of some items, each asked alone where its time is wanted."""
        questions = [self._question(item) for item in items]
        if self._manner.permute:
            return [ask_permuted(self._engine, one, blocks=blocks).answer for one in questions]
        parts = [[one] for one in questions] if self._manner.one_by_one else [questions]
        return [answer for part in parts if part for answer in self._engine.ask_many(part, blocks=blocks)]

    def _given(self, answer: Answer) -> Given:
        ms = answer.latency_ms if self._manner.one_by_one else None
        return Given(answer.letter, answer.probabilities, first_ms=ms, full_ms=ms)

    def _question(self, item: Item) -> Question:
        """Return an item as it is asked: where its letters are not those in its text, it has no options."""
        text = self._manner.asked(item.question)
        choices = None if item.letters == offered_letters(text) else ()
        return Question(text, choices, _FORMS[self._manner.way_of(item)])


def _has_options(question: Question) -> bool:
    """Whether a question's options are known one by one."""
    try:
        return bool(separated(question))
    except QuestionError:
        return False
