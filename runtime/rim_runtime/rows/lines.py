"""Lines of rows, read one by one as they come: from a file, or from a process that waits for its answer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Never

from rim_runtime.errors import RowError

LONGEST_LINE = 16 * 2**20
"""Bytes of the longest line that is read."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Line:
    """A line that is not empty."""

    number: int
    """From 1, empty ones counted."""
    content: bytes | None
    """Its bytes, without a byte order mark; None where it is longer than `LONGEST_LINE`."""

    def text(self) -> str:
        """Return it as a text. Raises RowError."""
        if self.content is None:
            raise RowError(f"it is longer than {LONGEST_LINE >> 20} MB, which is no question.")
        try:
            return self.content.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise RowError(f"not UTF-8 at byte {error.start:,} of it. Convert it.") from None

    def value(self) -> Any:
        """Return its JSON value. Raises RowError."""
        return parse_row(self.text())


def read_lines(content: IO[bytes]) -> Iterator[Line]:
    """Give the lines that are not empty, each as soon as it is there; none fills the memory."""
    number = 0
    while line := content.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if len(line) > LONGEST_LINE:
            while line and not line.endswith(b"\n"):
                line = content.readline(LONGEST_LINE)
            yield Line(number, None)
        elif line.strip():
            yield Line(number, line)


def parse_row(text: str) -> Any:
    """Return the value of a JSON text. Raises RowError, also for a key that comes twice."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise RowError("no JSON (it is nested too deep).") from None
    except RowError:
        raise
    except ValueError as error:
        raise RowError(f"no JSON ({error}).") from None


def _refuse_constant(name: str) -> Never:
    raise RowError(f"no JSON ({name} stands in it).")


def _finite(text: str) -> float:
    """Return a number. Raises RowError for one that is read as infinite, which could not be written as JSON."""
    if math.isfinite(value := float(text)):
        return value
    raise RowError(f"no JSON ({text[:40]} stands in it, which is too large for a number).")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RowError(f"the key '{twice}' comes twice, expected it once.")
    return found
