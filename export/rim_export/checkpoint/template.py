"""A chat template from a file, and one that prints today's date: a bundle's prompt is the same every day."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from rim_export.checkpoint.contents import refuse_foreign_content
from rim_export.errors import CheckpointError

TEMPLATE_DATE = datetime.date(2024, 7, 26)
"""What a template prints as today: the date that Llama 3's own takes where no clock is at hand."""
_MARK = f"{{# today is {TEMPLATE_DATE} #}}"
_TODAY = re.compile(r"""strftime_now\(\s*(?P<quote>["'])(?P<format>[^"']*)(?P=quote)\s*\)""")


def read_template(path: Path) -> str:
    """Return the chat template (Jinja) in a file. Raises CheckpointError."""
    refuse_foreign_content(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise CheckpointError(
            f"The chat template {path} cannot be read ({reason}). Give a file with a Jinja template."
        ) from None
    if not text.strip():
        raise CheckpointError(f"The chat template {path} is empty, expected a Jinja template.")
    return text


def without_today(template: str) -> str:
    """Return a template that prints TEMPLATE_DATE where it printed today's date, and says so in a comment.

    Raises CheckpointError for a date in a form that is computed.
    """
    frozen, count = _TODAY.subn(lambda match: f'"{TEMPLATE_DATE.strftime(match["format"])}"', template)
    if re.search(r"strftime_now\s*\(", frozen):
        raise CheckpointError(
            "The chat template prints today's date in a form that it computes, so that the prompt would change "
            "from day to day. Give a template with a fixed date: --template FILE"
        )
    return f"{_MARK}\n{frozen}" if count else frozen  # the line's end is not printed (trim_blocks)


def template_date(template: str) -> str | None:
    """Return the date that a template prints as today, YYYY-MM-DD; None if it prints none."""
    return TEMPLATE_DATE.isoformat() if template.startswith(_MARK) else None
