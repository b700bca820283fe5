"""Latent steps between a prompt and its text: the model reads its own last state in the place of a token."""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np

from rim_runtime.bundle.latent import Latent
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.decoders.decoder import Decoder, DecoderState, Step
from rim_runtime.errors import InputError

VECTOR = np.array([-1], np.int64)
"""The id in whose place a vector is read."""


@dataclass(frozen=True)
class LatentSteps:
    """The latent steps of one text."""

    count: int = 0
    """K."""
    end_ids: tuple[int, ...] = ()
    """Tokens that are read behind them."""

    @property
    def positions(self) -> int:
        """Positions that all of it takes."""
        return self.count + len(self.end_ids)

    def take(
        self,
        decoder: Decoder,
        state: DecoderState,
        step: Step,
        run: Callable[[], AbstractContextManager[None]],
        cancel: Cancellation | None,
    ) -> Step:
        """Take the steps behind a prompt, and return what the decoder then says of the first token.

        Each reads the projected state of the position before it; `run` holds the decoder open meanwhile. Raises
        what the decoder does, and EngineClosedError.
        """
        for _ in range(self.count):
            with run():
                step = decoder.step(state, VECTOR, decoder.project(step.states), cancel)
        for token in self.end_ids:
            with run():
                step = decoder.step(state, np.array([token], np.int64), cancel=cancel)
        return step


NO_LATENT = LatentSteps()
"""The text follows its prompt."""


def choose_steps(latent: Latent | None, steps: SupportsIndex | None, bundle: str) -> LatentSteps:
    """Return the latent steps of a text; `steps` None: as many as the model was trained with.

    Raises InputError for a number that is none, or for a bundle that takes none.
    """
    if latent is None:
        if steps is not None:
            raise InputError(
                f"latent_steps is {steps!r}, but the bundle {bundle} takes no latent steps. Leave it out, or "
                "export the checkpoint with them (--latent-steps)."
            )
        return NO_LATENT
    return LatentSteps(latent.steps if steps is None else _count(steps), latent.end_ids)


def _count(steps: SupportsIndex) -> int:
    try:
        count = -1 if isinstance(steps, bool) else operator.index(steps)
    except TypeError:
        count = -1
    if count < 0:
        raise InputError(f"latent_steps is {steps!r}, expected a whole number from 0.")
    return count
