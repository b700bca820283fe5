"""Wrong usage, told in one line of our own words: what was found, what was expected, where help is.

typer finds it (pydantic converts the values) and raises a TyperException; `usage_error` reads that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, get_args

import typer
from rim_runtime.errors import InputError, RimError

_NUMBERS = {int: "a whole number", float: "a number"}
_TEXT_VERBS = ("ask", "prompt")
"""Verbs whose argument is a text, which a shell cuts at its spaces."""


class UsageError(InputError):
    """The command line is not understood: an unknown option, a word that is no choice, two that clash."""


class NotConfirmedError(RimError):
    """The user was asked, and did not say yes."""


def usage_error(found: typer.TyperException) -> UsageError:
    """Return what typer found, in our words."""
    context = getattr(found, "ctx", None)
    text = _text(found, context)
    where = f" See: {context.command_path} --help" if context else ""
    return UsageError(f"{text}{'' if text[-1] in '.?…' else '.'}{where}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question about the nearest known word, with a space before it; nothing if none is near."""
    near = difflib.get_close_matches(word.casefold(), list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def unknown_verb(word: str, known: Iterable[str], above: str) -> UsageError:
    """Return the error about a verb that does not exist; `above` is the command that it was given to."""
    listed, near = ", ".join(known := list(known)), did_you_mean(word, known)
    hint = ' To ask a question: rim-edge ask "…"' if not near and "ask" in known else ""
    return UsageError(
        f"There is no verb {quoted(word)} of {above}, expected one of: {listed}.{near or hint} See: {above} --help"
    )


def not_finite(
    context: Any, names: Iterable[str], value: float, bounds: tuple[float | None, float | None]
) -> typer.BadParameter:
    """Return the error about an option's value that is infinite."""
    name = next(word for word in names if word.startswith("--"))
    expected = f"a finite number{_bounds(*bounds)}"
    return typer.BadParameter(f"{name} is {quoted(value)}, expected {expected}", ctx=context)


def _text(found: typer.TyperException, context: Any) -> str:
    if hasattr(found, "possibilities"):  # an option that does not exist
        name = found.option_name  # type: ignore[attr-defined]
        hint = _nearest(found.possibilities)
        if not hint and context is not None and hasattr(context.command, "list_commands"):
            hint = f" A verb's options stand after it: {context.command_path} VERB {name.split('=')[0]} …"
        return f"There is no option {quoted(name)}.{hint}"
    if isinstance(found, typer.BadParameter) and found.param is not None and found.message:
        return _bad_value(found)
    text = found.message if isinstance(found, typer.BadParameter) and found.message else found.format_message()
    extra = re.search(r"unexpected extra argument.*? \((.*)\)", text)
    if not extra or context is None:
        return text
    quotes = " Write the question in quotes." if context.info_name in _TEXT_VERBS else ""
    return f"Found {quoted(extra[1])}, expected nothing more.{quotes}"


def _bad_value(found: typer.BadParameter) -> str:
    """Say what an option's value is and what was expected."""
    parameter: Any = found.param
    name = next((word for word in parameter.opts if word.startswith("--")), parameter.metavar or parameter.name)
    described, cause = getattr(parameter, "type_descriptor", None), getattr(found.__cause__, "errors", None)
    if described is None or cause is None:
        return f"{name}: {found.message}"
    value = cause()[0]["input"]
    if described.choices is not None:
        words = [str(choice.value) for choice in described.choices]
        return f"{name} is {quoted(value)}, expected one of: {', '.join(words)}.{did_you_mean(str(value), words)}"
    annotation = next(iter(get_args(described.annotation)), described.annotation)  # of each, where it is a list
    if annotation in _NUMBERS:
        expected = _NUMBERS[annotation] + _bounds(parameter.min, parameter.max)
        return f"{name} is {quoted(value)}, expected {expected}"
    return f"{name}: {found.message.removeprefix('Value error, ')}"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def _nearest(possibilities: Any) -> str:
    return f" Did you mean {possibilities[0]}?" if possibilities else ""


def quoted(value: object) -> str:
    """Return what the user wrote, short enough for a line, with escapes for what would break or colour it."""
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
