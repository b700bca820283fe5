"""The logger "rim_runtime": silent until the host program configures logging."""

from __future__ import annotations

import sys


def tell(text: str, *given: object) -> None:
    """Log what a user may want to know, at level info; `text` is a format as `logging` takes it.

    A program that did not import `logging` has nobody who listens, and starts faster without it.
    """
    if "logging" not in sys.modules:
        return
    import logging

    logger = logging.getLogger("rim_runtime")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.info(text, *given)
