r"""The box of an answer, `\boxed{…}`: where its text ends."""

from __future__ import annotations

OPENING = "\\boxed{"
"""What begins a box."""


def boxed_text(text: str) -> str:
    r"""Return the text before the brace that closes the box; all of it where none does.

    Braces inside come in pairs, as in `\frac{1}{2}`; escaped ones (`\{`) are text, as in LaTeX.
    """
    depth, escaped = 0, False
    for place, sign in enumerate(text):
        if escaped or sign == "\\":
            escaped = not escaped
        elif sign == "{":
            depth += 1
        elif sign == "}":
            if depth == 0:
                return text[:place]
            depth -= 1
    return text


def fits_box(answer: str) -> bool:
    """Whether an answer can be read back out of its box: its braces come in pairs."""
    return boxed_text(answer + "}") == answer


def last_box(text: str, opening: str = OPENING) -> str | None:
    """Return what stands in the last box of a text, up to the end where it is not closed; None without one."""
    _, found, rest = text.rpartition(opening)
    return boxed_text(rest) if found else None
