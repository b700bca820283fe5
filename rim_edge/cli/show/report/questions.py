"""A list of questions with what was answered; each opens to its whole text and its options' probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from rim_edge.cli.show.numbers import tenths
from rim_edge.cli.show.report.markup import row, safe

if TYPE_CHECKING:
    from rim_edge.evaluation.asking import Row
    from rim_edge.evaluation.reading import Given

TAGS = {-1: "lost", 1: "gained", 0: "wrong in both"}
"""By what an answer gains (`Changed.gain`)."""
_LEAST_SHOWN = 0.005
_LONGEST_ANSWER = 40


class Run(StrEnum):
    """Which run an answer is of."""

    HERE = "here"
    """The one that the page is about."""
    THERE = "there"
    """The one that it is compared with."""


Answers = Mapping[Run, "Given"]


def listed(questions: Sequence[tuple[Row, Answers]], tags: Sequence[str]) -> str:
    """Return the questions, each with its answers by run, behind a word of `tags`."""
    names = [Run.THERE, Run.HERE] if any(len(answers) > 1 for _, answers in questions) else [Run.HERE]
    shown = names if len(names) > 1 else ["answered"]
    heads = "".join(f"<span>{name}</span>" for name in ("", "", "question", *shown, "right"))
    kind = "two" if len(names) > 1 else "one"
    lines = (_question(*one, tag, names) for one, tag in zip(questions, tags, strict=False))
    return f'<div class="{kind}"><div class="heads" aria-hidden="true">{heads}</div>\n{"".join(lines)}</div>\n'


def _question(asked: Row, answers: Answers, tag: str, names: Sequence[Run]) -> str:
    stem, options = _parts(asked)
    kind = tag if tag in TAGS.values() else ""
    cells = "".join(f"<span>{_named(name, names)}{_answer(answers[name])}</span>" for name in names)
    right = f'<span><span class="name">right </span>{safe(_cut(asked.item.answer))}</span>'
    return (
        f'<details><summary><span class="tag {kind}">{safe(tag)}</span>'
        f'<span class="ask" dir="auto">{safe(stem)}</span>{cells}{right}</summary>\n'
        f'<div class="whole">{_options(asked, options, answers, names)}'
        f'<p class="faint">{safe(" · ".join(filter(None, (asked.subject, asked.place))))}</p></div></details>\n'
    )


def _named(name: Run, names: Sequence[Run]) -> str:
    return f'<span class="name">{name if len(names) > 1 else "answered"} </span>'


def _answer(given: Given) -> str:
    share = (given.probabilities or {}).get(given.answer)
    sure = "" if share is None else f" {100 * share:.0f} %"
    return safe(_cut(given.answer) or "nothing") + sure


def _options(asked: Row, options: Mapping[str, str], answers: Answers, names: Sequence[Run]) -> str:
    shares = {name: answers[name].probabilities or {} for name in names}
    offered = [
        letter
        for letter in (options or dict.fromkeys(asked.item.letters))
        if options or any(one.get(letter, 0.0) >= _LEAST_SHOWN for one in shares.values())
    ]
    if not any(shares.values()) or not offered:
        texts = "".join(f"<p>{name}: {safe(answers[name].text or answers[name].answer)}</p>" for name in names)
        return texts + "".join(f"<p>{safe(letter)}: {safe(text)}</p>" for letter, text in options.items())
    heads = "".join(f'<th scope="col">{name if len(names) > 1 else "probability"}</th>' for name in names)
    rows = [
        row(
            safe(f"{letter}  {options.get(letter, '')}".strip()),
            *(_share(shares[name].get(letter, 0.0)) for name in names),
            kind="right" if letter == asked.item.answer else "",
        )
        for letter in offered
    ]
    return f'<table><thead><tr><th scope="col"></th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _share(share: float) -> str:
    return f'{tenths(share)}<span class="share"><i style="width:{100 * share:.1f}%"></i></span>'


def _parts(asked: Row) -> tuple[str, dict[str, str]]:
    """Return a question's text and its options, where they stand as lines at its end."""
    from rim_runtime.prompt.options import offered_options

    options = offered_options(asked.item.question)
    if "".join(options) != asked.item.letters:
        return asked.item.question, {}
    lines = asked.item.question.rstrip().split("\n")
    return "\n".join(lines[: len(lines) - len(options)]), options


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_ANSWER else text[: _LONGEST_ANSWER - 1] + "…"
