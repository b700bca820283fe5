"""Answers in words: when a question gets one, and how it is printed, as it comes."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rim_edge.cli.asking.form import Form
from rim_edge.cli.output import console, print_json

if TYPE_CHECKING:
    from rim_runtime.bundle.manifest import Manifest
    from rim_runtime.engine import Engine
    from rim_runtime.generate.text import Text
    from rim_runtime.question import Question


@dataclass(frozen=True)
class WritingOptions:
    """The options of answers in words, as given; None: not given."""

    max_tokens: int | None
    """Tokens at most."""
    temperature: float | None
    """What logits are divided by."""
    stop: list[str] | None
    """Texts at which an answer ends."""
    seed: int | None
    """Of what is drawn."""

    @property
    def given(self) -> dict[str, bool]:
        """Which of them were given, by name."""
        return {
            f"--{one.name.replace('_', '-')}": getattr(self, one.name) not in (None, [])
            for one in dataclasses.fields(self)
        }

    def require(self, manifest: Manifest) -> bool:
        """Return whether a bundle writes text. Raises InputError if it does not, and one of these was given."""
        from rim_runtime.bundle.roles import Ability, abilities
        from rim_runtime.generate.order import no_decoder

        writes = Ability.TEXT in abilities(manifest)
        if any(self.given.values()) and not writes:
            raise no_decoder(manifest.name)
        return writes

    def want_words(self, manifest: Manifest, question: Question) -> bool:
        """Return whether a question is answered in words: it has no options, and the bundle writes text.

        Raises InputError where one of these was given and the answer is a letter.
        """
        from rim_runtime.errors import QuestionError

        writes, offers = self.require(manifest), bool(question.offered())
        if offers and (names := [name for name, is_given in self.given.items() if is_given]):
            raise QuestionError(
                f"{', '.join(names)}: this is for answers in words, and a question with options is answered by a "
                "letter. Leave it out, or say --no-choices."
            )
        return writes and not offers


def write_answer(
    engine: Engine, question: Question, blocks: int | None, options: WritingOptions, form: Form
) -> None:
    """Answer a question in words, and print the text as it comes; as JSON once it is whole."""
    from rim_runtime.generate.sampling import Sampling

    stream = engine.generate(
        question,
        blocks=blocks,
        max_tokens=options.max_tokens,
        stop=options.stop or (),
        sampling=Sampling(temperature=options.temperature or 0.0, seed=options.seed or 0),
    )
    with closing(stream):
        if form is Form.JSON:
            print_json(dataclasses.asdict(stream.result()))
            return
        for piece in stream:
            print(_shown(piece), end="", flush=True)
        print(flush=True)
        if form is Form.PEOPLE:
            _print_end(stream.result())


def _shown(piece: str) -> str:
    """Return a piece as it may be shown: a terminal would obey control characters."""
    from rim_runtime.bundle.control_characters import without_control_characters

    return without_control_characters(piece) if sys.stdout.isatty() else piece


def _print_end(text: Text) -> None:
    """Print what ran, and whether the text was cut."""
    from rich.text import Text as Line

    from rim_edge.cli.show.numbers import milliseconds
    from rim_edge.cli.show.wrap import print_wrapped

    count = len(text.tokens)
    tokens = f"{count} token{'' if count == 1 else 's'}"
    times = f"first after {milliseconds(text.first_token_ms)}, all after {milliseconds(text.latency_ms)}"
    cut = ", cut there (--max-tokens)" if text.ended == "limit" else ""
    out = console()
    out.print()
    ran = f"{text.bundle} · {text.blocks} blocks · {text.engine} · {text.precision} · {tokens}{cut} · {times}"
    print_wrapped(out, Line(ran, "dim"))
