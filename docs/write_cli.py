"""Write docs/cli.md from the code: `make docs`. A test compares the two.

python docs/write_cli.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from rim_edge.cli.app import app

PAGE = Path(__file__).parent / "cli.md"
INTRODUCTION = """# The command line

This page is written from the code (`make docs`), and a test compares the two. `rim-edge VERB --help` says the
same. `rim-edge --install-completion` makes the shell complete verbs, options, choices and the names of bundles.

Answers go to stdout, all else to stderr. Under `--json` stdout is one line of JSON, errors included
([json.md](json.md)). Values in capitals are yours to fill in: N is a number, TEXT any text, FILE and DIR paths,
BUNDLE a folder or a name from `bundle list`, NAME one of those that the option lists.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | the disk, or a library, refused |
| 2 | wrong usage, or an input that cannot be used |
| 3 | a check failed: a hash, golden questions, the certificate |
| 4 | an engine, a device or an extra is not here |
| 5 | `ask --min-confidence` held an answer back |
| 130, 143 | interrupted (Ctrl-C), told to end (SIGTERM) |
"""
_ENGINE = {
    3: "the bundle was altered, or its golden questions are answered differently here",
    4: "the engine cannot run here",
}
_HASHED = {3: "a file is not what the manifest says"}
_SIGNED = {
    3: "a file is not what the manifest says; --key: it is not signed by its owner",
    4: "--key: the extra `sign` is not installed",
}
CHECKS: Mapping[str, Mapping[int, str]] = {
    "ask": _ENGINE,
    "trace": _ENGINE,
    "prompt": _HASHED,
    "demo": _ENGINE,
    "eval": {3: _ENGINE[3], 4: "the engine cannot run here; --model: the extra `train` is not installed"},
    "calibrate": _ENGINE,
    "export": {
        3: "too many letters differ from the checkpoint's: nothing is written",
        4: "the extra `export`, or an engine, is not installed",
    },
    "train": {4: "the extra `train` is not installed"},
    "bench": {3: "something is slower than in the file of --against", 4: "no engine answers here"},
    "serve": {3: _ENGINE[3], 4: "the engine cannot run here, or the extra `serve` is not installed"},
    "merge": {4: "the extra `train` is not installed"},
    "rollouts": {4: "the extra `train` is not installed"},
    "bundle list": {},
    "bundle use": _HASHED,
    "bundle verify": _SIGNED,
    "bundle trust": _SIGNED,
    "bundle untrust": _HASHED,
    "bundle info": _HASHED,
    "bundle copy": _HASHED,
    "bundle sign": {3: _HASHED[3], 4: "the extra `sign` is not installed"},
    "bundle sbom": _HASHED,
    "bundle triton": _HASHED,
    "bundle optimum": _HASHED,
    "bundle compare": _ENGINE,
    "bundle vectors": _ENGINE,
    "bundle remove": {},
    "doctor": {4: "no engine answers here"},
}
"""Verb to what its exit codes 3 and 4 mean; all verbs have the others."""


def page() -> str:
    """Return the whole page."""
    found = list(verbs())
    parts = [INTRODUCTION, _words(found)]
    for name, command, context in found:
        parts.append(_verb(name, command, context))
    return "\n".join(parts)


def verbs() -> Iterator[tuple[str, Any, Any]]:
    """Yield each verb's words, command and context, those of `bundle` too."""
    root: Any = typer.main.get_command(app)
    top = typer.Context(root, info_name="rim-edge")
    for name in root.list_commands(top):
        command = root.get_command(top, name)
        context = typer.Context(command, parent=top, info_name=name)
        if not hasattr(command, "list_commands"):
            yield name, command, context
            continue
        for below in command.list_commands(context):
            verb = command.get_command(context, below)
            yield f"{name} {below}", verb, typer.Context(verb, parent=context, info_name=below)


def _words(found: list[tuple[str, Any, Any]]) -> str:
    """Return the options that several verbs have: one word means one thing."""
    having: dict[str, list[str]] = {}
    for name, command, context in found:
        for option in _options(command, context):
            having.setdefault(_name(option), []).append(f"`{name}`")
    shared = {word: names for word, names in having.items() if len(names) > 1 and word != "`--json`"}
    rows = [f"| {word} | {', '.join(names)} |" for word, names in shared.items()]
    return "\n".join(["One word means one thing:", "", "| option | verbs |", "| --- | --- |", *rows, ""])


def _verb(name: str, command: Any, context: Any) -> str:
    lines = [f"## rim-edge {name}", "", command.get_usage(context).replace("Usage: ", "`") + "`", ""]
    lines += [" ".join(paragraph.split()) + "\n" for paragraph in command.help.split("\n\n")]
    arguments = [option for option in command.get_params(context) if option.param_type_name == "argument"]
    options = [*arguments, *_options(command, context)]
    lines += ["| | default | |", "| --- | --- | --- |", *(_row(option, context) for option in options), ""]
    checks = [f"{code}: {text}." for code, text in CHECKS[name].items()]
    if checks:
        lines += ["Exit code " + " Exit code ".join(checks), ""]
    examples = [line.replace("\\[", "[") for line in command.epilog.splitlines() if line.startswith("$ ")]
    return "\n".join([*lines, "```console", *examples, "```", ""])


def _options(command: Any, context: Any) -> list[Any]:
    """Return a verb's options, without --help, panel after panel as on its help page."""
    options = [o for o in command.get_params(context) if o.param_type_name == "option" and o.name != "help"]
    panels = list(dict.fromkeys([None, *(option.rich_help_panel for option in options)]))
    return sorted(options, key=lambda option: panels.index(option.rich_help_panel))


def _name(option: Any) -> str:
    if option.param_type_name == "argument":
        return f"`{option.metavar}`"
    return ", ".join(f"`{word} {option.metavar}`" if option.metavar else f"`{word}`" for word in option.opts)


def _row(option: Any, context: Any) -> str:
    if option.required:
        default = "required"
    elif isinstance(option.show_default, str):
        default = option.show_default
    else:
        value = option.get_default(context)
        default = "" if value is None or value is False else str(getattr(value, "value", value))
    return f"| {_name(option)} | {default} | {option.help} |".replace("|  |", "| |")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
