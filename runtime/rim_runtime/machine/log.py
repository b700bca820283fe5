"""The logger "rim_runtime": silent until the host program configures logging."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


@functools.cache
def logger() -> logging.Logger:
    """Return the logger; info is what a user may want to know, debug is each step."""
    import logging  # imported late: `import rim_runtime` does without

    found = logging.getLogger("rim_runtime")
    found.addHandler(logging.NullHandler())
    return found
