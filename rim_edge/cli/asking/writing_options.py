"""The options of answers in words: which were given, what they exclude, and how tokens are drawn by them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rim_runtime.bundle.manifest import Manifest
    from rim_runtime.generate.sampling import Sampling
    from rim_runtime.question import Question


@dataclass(frozen=True)
class WritingOptions:
    """The options of answers in words, as given; None: not given."""

    max_tokens: int | None = None
    """Tokens at most."""
    temperature: float | None = None
    """What logits are divided by."""
    top_p: float | None = None
    """The share of the likeliest tokens that are drawn from."""
    seed: int | None = None
    """Of what is drawn."""
    samples: int | None = None
    """Texts for one question."""
    stop: list[str] | None = None
    """Texts at which an answer ends."""
    latent_steps: int | None = None
    """Latent steps before the text."""

    @property
    def given(self) -> dict[str, bool]:
        """Which of them were given, by name."""
        return {
            f"--{one.name.replace('_', '-')}": getattr(self, one.name) not in (None, [])
            for one in dataclasses.fields(self)
        }

    def sampling(self) -> Sampling:
        """Return how tokens are drawn. Raises InputError for values that are none, or that change nothing."""
        from rim_runtime.errors import InputError
        from rim_runtime.generate.sampling import Sampling

        if not self.temperature and (self.samples or 1) > 1:
            raise InputError(
                f"--samples is {self.samples}, and without a temperature all of them are the same text. Give one, "
                "as in --temperature 0.8, or leave --samples out."
            )
        if self.temperature is None and self.top_p is not None:
            raise InputError(
                "--top-p draws nothing without a temperature. Give one, as in --temperature 0.8, or leave it out."
            )
        return Sampling(self.temperature or 0.0, 1.0 if self.top_p is None else self.top_p, self.seed or 0)

    def require(self, manifest: Manifest) -> bool:
        """Return whether a bundle writes text.

        Raises InputError if it does not, and one of these was given, and what `sampling` raises.
        """
        from rim_runtime.bundle.roles import Ability, abilities
        from rim_runtime.generate.order import no_decoder

        writes = Ability.TEXT in abilities(manifest)
        if any(self.given.values()) and not writes:
            raise no_decoder(manifest.name)
        self.sampling()
        return writes

    def want_words(self, manifest: Manifest, question: Question) -> bool:
        """Return whether a question is answered in words: it has no options, and the bundle writes text.

        Raises InputError where one of these was given and the answer is a letter, and what `require` raises.
        """
        from rim_runtime.errors import QuestionError

        writes, offers = self.require(manifest), bool(question.offered())
        if offers and (names := [name for name, is_given in self.given.items() if is_given]):
            raise QuestionError(
                f"{', '.join(names)}: this is for answers in words, and a question with options is answered by a "
                "letter. Leave it out, or say --no-choices."
            )
        return writes and not offers
