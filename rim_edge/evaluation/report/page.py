"""The card's table as one HTML page: it loads nothing from elsewhere, and is dark where the reader's screen is."""

from __future__ import annotations

from html import escape

from rim_runtime.version import __version__

from rim_edge.evaluation.report.columns import Column, columns
from rim_edge.evaluation.report.table import Line, Part, Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --faint: #59636e; --line: #d1d9e0;
  --bar: #0969da; --band: #0969da40 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --faint: #9198a1;
  --line: #3d444d; --bar: #4493f8; --band: #4493f855 } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.15rem }
div.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap }
th { color: var(--faint); font-weight: 600 }
.text { text-align: left }
.scale { position: relative; display: inline-block; width: 9rem; height: .8rem }
.scale i { position: absolute; top: 0; height: 100%; background: var(--band) }
.scale b { position: absolute; top: 0; height: 100%; width: 2px; background: var(--bar) }
p, li { color: var(--faint) }
"""


def render_page(table: Table) -> str:
    """Return the page; the same table gives the same page."""
    title = escape(table.title)
    partial = "" if table.is_whole else "<p>Partial: it was stopped before all was asked.</p>"
    parts = "".join(map(_part, table.parts))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{partial}{parts}"
        "<p>95 %: Wilson's interval, drawn from 0 to 100 %. A letter that is read counts as one token. Times are "
        f"means of questions that were asked one by one. rim-edge {escape(__version__)}</p>\n</body>\n</html>\n"
    )


def _part(part: Part) -> str:
    shown = columns(part)
    heads = "".join(f"<th{_kind(column)}>{escape(column.head)}</th>" for column in shown)
    lines = "".join(
        f"<tr>{''.join(f'<td{_kind(column)}>{escape(column.cell(line))}</td>' for column in shown)}"
        f"<td>{_scale(line)}</td></tr>\n"
        for line in part.lines
    )
    reasons = "".join(
        f"<li>{escape(one.model)}, {escape(one.way)}: {escape(one.reason)}</li>\n" for one in part.not_asked
    )
    left_out = f"<ul>\n{reasons}</ul>\n" if reasons else ""
    body = f'<div class="wide"><table>\n<tr>{heads}<th></th></tr>\n{lines}</table></div>\n' if part.lines else ""
    return f"<h2>{escape(part.data)}</h2>\n{body}{left_out}"


def _kind(column: Column) -> str:
    return ' class="text"' if column.is_text else ""


def _scale(line: Line) -> str:
    """Return the score on a scale from 0 to 100 %, with its interval."""
    low, high = (100 * end for end in line.score.interval)
    return (
        f'<span class="scale"><i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<b style="left:{100 * line.score.accuracy:.1f}%"></b></span>'
    )
