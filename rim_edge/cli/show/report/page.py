"""The page of one evaluation. Its sections are the other files of this folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rim_edge.cli.show.report.accuracy import accuracy, subjects
from rim_edge.cli.show.report.certainty import certainty, surest_wrong
from rim_edge.cli.show.report.changes import changes
from rim_edge.cli.show.report.letters import letters
from rim_edge.cli.show.report.markup import safe, section
from rim_edge.cli.show.report.style import STYLE
from rim_edge.cli.show.report.summary import facts, head

if TYPE_CHECKING:
    from rim_edge.cli.show.evaluation import Scored

_CONTENTS = {
    "accuracy": "Right answers",
    "subjects": "By subject",
    "letters": "Which letters",
    "certainty": "How sure it is",
    "wrong": "Wrong, and sure of it",
    "changes": "Against another run",
    "made": "How it was made",
}


def render_report(scored: Scored, command: Sequence[str]) -> str:
    """Return the page; `command` is what made it. The same evaluation gives the same page."""
    subject = scored.about.subject
    title = f"{subject.name} {subject.precision} on {scored.about.file}"
    found = (accuracy, subjects, letters, certainty, surest_wrong, changes)
    body = "".join(part(scored) for part in found) + _made(scored, command)
    links = "".join(
        f'<a href="#{name}">{words}</a>' for name, words in _CONTENTS.items() if f'<section id="{name}">' in body
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n{head(scored, title)}"
        f'{facts(scored)}<nav aria-label="Contents">{links}</nav>\n</header>\n<main>\n{body}</main>\n{_foot()}'
        "</body>\n</html>\n"
    )


def _made(scored: Scored, command: Sequence[str]) -> str:
    return section(
        "made",
        "How it was made",
        f"<pre>{safe(shlex.join(['rim-edge', *command]))}</pre>\n",
        f'<p class="faint">rim-edge {safe(scored.about.version)}. Manifest or weights <code>'
        f"{safe(scored.about.subject.sha256)}</code>, file <code>{safe(scored.about.file_sha256)}</code> "
        "(SHA-256).</p>\n",
    )


def _foot() -> str:
    return (
        "<footer><p>Intervals of shares are Wilson's, at 95 %. The calibration error is the mean difference "
        "between what was said and what was right over parts of equal size, its interval by resampling the "
        "questions. McNemar's exact test looks at the questions that one of two runs alone answers right. This "
        "page holds all that it shows: it loads nothing and runs no script.</p></footer>\n"
    )
