"""Bundles for people: one in detail, all in a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from rim_edge.cli.output import console
from rim_edge.cli.show.marks import Mark
from rim_edge.cli.show.numbers import count, megabytes
from rim_edge.cli.show.proof import accuracy, agreement, questions, read_proofs

if TYPE_CHECKING:
    from rim_runtime.bundle.names import ListedBundle

_NAMES = 10
"""Cells of the column of names."""


@dataclass(frozen=True)
class Summary:
    """A bundle in a list."""

    listed: ListedBundle
    """Its name and place."""
    precisions: tuple[str, ...]
    """Of its variants; empty where it cannot be read."""
    bytes: int
    """Size of its files."""
    written: date | None
    """The day its manifest was written here; None where it cannot be read."""
    trouble: str | None
    """Why it cannot be read; None where it can."""

    def to_json(self) -> dict[str, Any]:
        """Return it as `bundle list --json` prints it."""
        return {
            "name": self.listed.name,
            "path": str(self.listed.path),
            "default": self.listed.default,
            "missing": self.listed.missing,
            "precisions": list(self.precisions),
            "bytes": self.bytes,
            "written": None if self.written is None else self.written.isoformat(),
            "trouble": self.trouble,
        }


def summary(listed: ListedBundle) -> Summary:
    """Read what a list shows of a bundle; one that cannot be read says why."""
    from rim_runtime.bundle.folder import MANIFEST
    from rim_runtime.bundle.packed import open_source
    from rim_runtime.errors import RimError

    if listed.missing:
        return Summary(listed, (), 0, None, "it is gone")
    try:
        with open_source(listed.path) as opened:
            manifest = opened.manifest
        file = listed.path / MANIFEST if listed.path.is_dir() else listed.path
        written = date.fromtimestamp(file.stat().st_mtime)
    except (RimError, OSError) as error:
        return Summary(listed, (), 0, None, str(error))
    precisions = tuple(dict.fromkeys(str(variant.precision) for variant in manifest.variants))
    return Summary(listed, precisions, sum(file.bytes for file in manifest.files.values()), written, None)


def print_list(summaries: list[Summary]) -> None:
    """Print a line for each bundle; the default is marked."""
    from rich.text import Text

    out = console()
    names = max((len(one.listed.name) for one in summaries), default=0)
    facts = {one.listed.name: _facts(one) for one in summaries}
    widths = [max((len(row[place]) for row in facts.values()), default=0) for place in range(3)]
    for one in summaries:
        mark = Mark.DEFAULT.on(out) if one.listed.default else "  "
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(facts[one.listed.name], widths, strict=True))
        out.print(Text.assemble(
            mark, (f"{one.listed.name:<{names}}  ", "bold"), f"{cells}  ", (str(one.listed.path), "dim")
        ))  # fmt: skip
        if one.trouble:
            out.print(Text.assemble(" " * (names + 4), Mark.BAD.before(out, one.trouble)))


def _facts(one: Summary) -> tuple[str, str, str]:
    if one.written is None:
        return "-", "-", "-"
    return ", ".join(one.precisions), megabytes(one.bytes), one.written.isoformat()


def print_info(body: Mapping[str, Any]) -> None:
    """Print what a bundle says about itself, from what `bundle info --json` prints."""
    from rich.text import Text

    from rim_edge.cli.show.wrap import wrapped

    out = console()
    for key, value in _lines(body):
        for place, line in enumerate(wrapped(out, value, _NAMES)):
            out.print(Text.assemble((f"{'' if place else key:<{_NAMES}}", "dim"), line))


def _lines(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of `bundle info`; a row without a key belongs to the one above."""
    source, limits, certificate = body["source"], body["limits"], body["certificate"]
    proofs = read_proofs(certificate)
    variants = [f"{v['name']} ({v['head']}, {megabytes(v['bytes'])})" for v in body["variants"]]
    model = f"{source['model']} ({source['architecture']}, revision {source['revision'] or 'unknown'})"
    return [
        ("name", body["name"]),
        ("path", body["path"]),
        ("model", model),
        ("blocks", _blocks(body)),
        ("prefix", body["prefix"]),
        ("letters", body["letters"]),
        *([("decoder", "text, from the same weights")] if "text" in body["answers"] else []),
        *([("trace", "after every block, from the same weights")] if "trace" in body["answers"] else []),
        ("question", f"at most {count(limits['question_tokens'], 'token')}"),
        ("variants", ", ".join(variants)),
        *_column("wider", _wider_lines(body)),
        *_plan_lines(body),
        *_column("proof", [agreement(proof) for proof in proofs] or ["unknown"]),
        *_column("accuracy", [accuracy(proof) for proof in proofs] or ["unknown"]),
        ("questions", questions(certificate)),
        ("made by", ", ".join(f"{tool} {version}" for tool, version in body["tools"].items())),
        ("manifest", body["manifest_sha256"]),
        *_signed_lines(body),
    ]


def _signed_lines(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the row about a signature, which `info` does not check; none for a bundle without one."""
    check = f"rim-edge bundle verify {body['path']} --key FILE"
    return [("signed", f"by whom says: {check}")] if body["signed"] else []


def _blocks(body: Mapping[str, Any]) -> str:
    if not body["blocks"]:
        return "none: zero-shot answers, a baseline"
    return f"{body['blocks']} × ({count(body['memory_tokens'], 'memory token')} + 2)"


def _column(key: str, values: list[str]) -> list[tuple[str, str]]:
    return [("" if place else key, value) for place, value in enumerate(values)]


def _wider_lines(body: Mapping[str, Any]) -> list[str]:
    """Return what was kept wider than the precision says, a line a variant."""
    from rim_runtime.bundle.widened import in_words

    layers = [
        f"{variant['name']}: layers {', '.join(map(str, variant['wide_layers']))} in {variant['compute']}"
        for variant in body["variants"]
        if variant["wide_layers"]
    ]
    parts = [
        f"{variant['name']}: {in_words(variant['widened'])}" for variant in body["variants"] if variant["widened"]
    ]
    return layers + parts


def _plan_lines(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows about a bundle's plans; none for a bundle without plans."""
    if not body["plans"]:
        return []
    plans = [
        f"{plan['file']} ({', '.join(plan['targets'])}; {plan['library']} {plan['library_version']}; "
        f"{megabytes(plan['bytes'])})"
        for plan in body["plans"]
    ]
    told = "trusted here" if body["trusted"] else f"not trusted here: rim-edge bundle trust {body['path']}"
    return [("plans", "; ".join(plans)), ("trust", told)]
