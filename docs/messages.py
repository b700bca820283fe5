"""What each kind of error says, read from the code: the messages that errors are made with, `…` for what varies.

A message that is put together elsewhere is not found. The site lists what is found below each kind of errors.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("rim_edge", "export/rim_export", "runtime/rim_runtime")
LEFT_OPEN = "…"


def messages() -> dict[str, list[str]]:
    """Return the messages of each error, by its class's name, in the order of the files."""
    found: dict[str, dict[str, None]] = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for name, text in _of(file):
                found.setdefault(name, {})[text] = None
    return {name: list(texts) for name, texts in found.items()}


def says(template: str, message: str) -> bool:
    """Whether a template is in a message, which may say first where it is."""
    parts = [re.escape(part) for part in template.split(LEFT_OPEN)]
    return re.search(".*?".join(parts), message, re.S) is not None


def _of(file: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    known = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for owner in ast.walk(tree):
        if isinstance(owner, ast.ClassDef) and owner.name.endswith("Error"):
            yield from ((owner.name, text) for call in _calls(owner, "__init__") if (text := _text(call, known)))
    for call in _calls(tree, "Error"):
        if text := _text(call, known):
            yield _name(call), text


def _calls(tree: ast.AST, ending: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node).endswith(ending):
            yield node


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _text(call: ast.Call, known: dict[str, object]) -> str | None:
    """Return the text of a call's first argument; None where that is no text, or has no words of its own."""
    text = _words(call.args[0], known) if call.args else ""
    text = " ".join(re.sub(f"{LEFT_OPEN}[{LEFT_OPEN}\\s]*{LEFT_OPEN}", LEFT_OPEN, text).split())
    return text if len(re.findall("[A-Za-z]{2,}", text)) >= 3 else None


def _words(node: ast.AST, known: dict[str, object]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, known) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left, known) + _words(node.right, known)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        return str(known.get(node.value.id, LEFT_OPEN))
    return LEFT_OPEN
