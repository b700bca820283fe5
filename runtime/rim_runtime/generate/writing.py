"""One text while it is written: from logits to a token, to characters, until it ends."""

from __future__ import annotations

import numpy as np

from rim_runtime.bundle.roles import Decoding
from rim_runtime.engines.backend import Floats
from rim_runtime.errors import BrokenLogitsError
from rim_runtime.generate.box import AnswerBox
from rim_runtime.generate.order import Order
from rim_runtime.generate.sampling import Drawer
from rim_runtime.generate.stops import StopTexts
from rim_runtime.generate.text import Ended
from rim_runtime.prompt.encoder import PromptEncoder


class Writing:
    """One text."""

    def __init__(self, order: Order, encoder: PromptEncoder, decoding: Decoding, sample: int = 0) -> None:
        self.tokens: list[int] = []
        """Ids of what was written."""
        self.ended: Ended | None = None
        """Why it ended; None while it goes on."""
        self._order, self._encoder, self._decoding = order, encoder, decoding
        self._control = frozenset((*decoding.control_ids, *decoding.stop_ids))
        self._drawer = Drawer(order.sampling, sample)
        self._reader = encoder.reader()
        self._box, self._stops = AnswerBox(order.prefix), StopTexts(order.stops)
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """All characters that were shown."""
        return "".join(self._pieces)

    def take(self, logits: Floats, engine: str, precision: str) -> str:
        """Draw the next token by its logits, float32 [vocabulary]; return the characters to show, maybe none.

        Raises BrokenLogitsError, which names the engine.
        """
        if not np.isfinite(logits).all():
            raise BrokenLogitsError(engine, precision)
        piece = self._next(self._drawer.draw(logits))
        self._pieces.append(piece)
        return piece

    def _next(self, token: int) -> str:
        if token in self._decoding.stop_ids:
            self.ended = Ended.STOP_TOKEN
            return self._stops.rest()
        self.tokens.append(token)
        piece = self._stops.pass_on(self._box.pass_on(self._read(token)))
        if self._stops.found:
            self.ended = Ended.STOP_TEXT
        elif self._box.closed:
            self.ended = Ended.ANSWER
        elif len(self.tokens) == self._order.max_tokens:
            self.ended = Ended.LIMIT
        return piece + self._stops.rest() if self.ended else piece

    def _read(self, token: int) -> str:
        """Return a token's characters; an added token is none of the tokenizer's, so it begins a text anew."""
        shown = self._decoding.shown_tokens.get(str(token))
        if token in self._control or shown is not None:
            self._reader = self._encoder.reader()
            return shown or ""
        return self._reader.read(token)
