"""The most memory that this process had at a time."""

from __future__ import annotations

import sys


def peak_memory() -> int | None:
    """Return the largest resident set of this process so far, in bytes; None where that cannot be asked."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
