"""An answer in words and numbers, the same as `rim-edge ask` says: how clear it is, and how often it is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rim_runtime import Answer, Ended, Engine, Text, find_calibration

DEMO = "demo"
DEMO_NOTE = (
    "This is the embedded demo, a toy that answers three kinds of puzzle; bring a model of your own with: "
    "rim-edge export"
)
_CLEAR_LEAD, _DEMOS_CLEAR_LEAD = 0.2, 0.35
"""Below, nothing is called the answer. The demo was taught to be unsure of what is none of its puzzles."""
_LEAST_SHOWN = 0.005


@dataclass(frozen=True)
class Shown:
    """An answer as it is shown."""

    letter: str
    """The best letter; empty where no answer is clear."""
    headline: str
    """The option behind it and its lead, or that there is no clear answer."""
    bars: Mapping[str, float]
    """The offered letters' probabilities, calibrated where the bundle was calibrated here."""
    options: Mapping[str, str]
    """The options by letter; empty for an open question."""
    facts: str
    """What ran, and how long."""
    known: str
    """How often it was right before, and whether the percentages are calibrated."""


def shown_answer(engine: Engine, answer: Answer, options: Mapping[str, str]) -> Shown:
    """Return what is shown of an engine's answer. Raises InputError for a damaged file of calibrations."""
    is_demo = engine.bundle == DEMO
    is_clear = answer.lead >= (_DEMOS_CLEAR_LEAD if is_demo else _CLEAR_LEAD)
    is_known = is_clear or not is_demo  # on other questions the demo was neither certified nor calibrated
    calibration = find_calibration(engine.manifest, answer.precision, answer.blocks) if is_known else None
    bars, said = answer.probabilities, "percentages are not calibrated"
    if calibration is not None:
        bars = calibration.probabilities(answer.probabilities)
        likely = " or ".join(calibration.letters(answer.probabilities))
        said = (
            f"calibrated on {calibration.questions:,} questions of {calibration.data}; "
            f"with {100 * calibration.coverage:.0f} % it is {likely}"
        )
    accuracy = known_accuracy(engine.certificate, answer) if is_known else None
    return Shown(
        letter=answer.letter if is_clear else "",
        headline=_headline(answer, is_clear),
        bars={letter: share for letter, share in bars.items() if options or share >= _LEAST_SHOWN},
        options=options,
        facts=f"{answer.bundle} · {_ran(answer)} · {milliseconds(answer.latency_ms)}",
        known=f"{accuracy}; {said}" if accuracy else said,
    )


def facts_of_text(text: Text) -> str:
    """Return what wrote a text, how long it is, and how long it took."""
    tokens = f"{len(text.tokens)} tokens" + (", cut there" if text.ended is Ended.LIMIT else "")
    times = f"first after {milliseconds(text.first_token_ms)}, all after {milliseconds(text.latency_ms)}"
    return f"{text.bundle} · {_ran(text)} · {tokens} · {times}"


def known_accuracy(certificate: Mapping[str, Any], answer: Answer) -> str | None:
    """Return how often the variant that answered was right when it was certified; None where that is not known.

    It is not where none, or two that differ, were certified so: in this precision, with these blocks, on questions
    whose right answers are known.
    """
    try:
        found = {
            (float(entry["accuracy"]), int(entry["labelled"]))
            for entry in certificate["variants"]
            if entry["precision"] == answer.precision and entry.get("labelled")
        }
        with_these_blocks = certificate["blocks"] == answer.blocks
    except (AttributeError, KeyError, TypeError, ValueError):  # none, or one in another form
        return None
    if not with_these_blocks or len(found) != 1:
        return None
    accuracy, labelled = found.pop()
    return f"right on {100 * accuracy:.1f} % of the {labelled:,} questions it was certified on"


def percent(share: float) -> str:
    """Return a share in whole percent, without claiming a certainty that it does not have."""
    if share >= 1 - _LEAST_SHOWN:
        return "> 99 %"
    return "< 1 %" if share < _LEAST_SHOWN else f"{100 * share:.0f} %"


def milliseconds(value: float) -> str:
    """Return a time in ms, with a decimal where it matters."""
    return f"{value:,.1f} ms" if value < 10 else f"{value:,.0f} ms"


def _headline(answer: Answer, is_clear: bool) -> str:
    if is_clear:
        return f"{answer.choice or ''}   leads by {_points(answer.lead)}".strip()
    named = f"{answer.letter} ({answer.choice})" if answer.choice else answer.letter
    return f"no clear answer: {named} leads by {_points(answer.lead)}"


def _points(lead: float) -> str:
    if lead >= 1 - _LEAST_SHOWN:
        return "> 99 points"
    if lead < _LEAST_SHOWN:
        return "< 1 point"
    whole = round(100 * lead)
    return f"{whole} point{'' if whole == 1 else 's'}"


def _ran(answered: Answer | Text) -> str:
    return f"{answered.blocks} blocks · {answered.engine} · {answered.precision}"
