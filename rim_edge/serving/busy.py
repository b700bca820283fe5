"""A server that has enough to do."""

from __future__ import annotations

from rim_runtime.errors import RimError


class BusyError(RimError):
    """As many requests wait as may; this one was not begun, and may be made again."""
