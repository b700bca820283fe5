"""Several texts of one prompt, written together."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from rim_runtime.engines.backend import Ints
from rim_runtime.engines.cancellation import Cancellation, check
from rim_runtime.generate.author import Author
from rim_runtime.generate.order import Order
from rim_runtime.generate.text import Text
from rim_runtime.generate.writing import Writing


def write_samples(author: Author, order: Order, count: int, cancel: Cancellation | None) -> list[Text]:
    """Write several texts of one prompt, which is read once; each draws by itself. They are decoded together."""
    start = time.perf_counter() - order.prepared_s
    writings = []
    for sample in range(count):
        check(cancel)
        writings.append(author.begin(order, sample))
    with author.run():
        state, step = author.read(order, cancel)
        logits = step.logits.repeat(count, 0)
        first_s = 0.0
        while True:
            for row, writing in enumerate(writings):
                check(cancel)  # drawing from a large vocabulary takes milliseconds a text
                if writing.ended is None:
                    author.take(writing, logits[row])
            first_s = first_s or time.perf_counter() - start
            if all(writing.ended is not None for writing in writings):
                break
            if state.rows != count:
                state = author.decoder.fork(state, count)
            with author.run():  # refused once the program quits
                logits = author.decoder.step(state, _last_tokens(writings), cancel=cancel).logits
    total_s = time.perf_counter() - start
    return [author.text(writing, order, first_s, total_s) for writing in writings]


def _last_tokens(writings: Sequence[Writing]) -> Ints:
    """Return the token that each row reads next; what a text that has ended reads does not matter."""
    return np.array([writing.tokens[-1] if writing.tokens else 0 for writing in writings], np.int64)
