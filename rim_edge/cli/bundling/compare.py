"""`rim-edge bundle compare`: two bundles asked the same questions."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import BundleArgument, EngineOption, JsonOption, LimitOption, SkipBadOption, bundle_names
from rim_edge.cli.output import console, print_json
from rim_edge.cli.show.numbers import megabytes, milliseconds, percent
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rim_runtime.engine import Engine

    from rim_edge.evaluation.two_bundles import TwoBundles

_SHOWN = 10
OtherArgument = Annotated[
    str, typer.Argument(metavar="OTHER", help="The bundle beside it.", autocompletion=bundle_names)
]
RowsOption = Annotated[
    Path | None,
    typer.Option(
        "--rows",
        metavar="FILE",
        help="Rows to ask (.jsonl, .json or .txt).",
        show_default="256 medical questions",
    ),
]


def compare(
    name: BundleArgument,
    other: OtherArgument,
    rows: RowsOption = None,
    limit: LimitOption = None,
    skip_bad: SkipBadOption = False,
    engine: EngineOption = EngineName.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Ask two bundles the same questions: which letters differ, how far apart they are, size and time."""
    from rim_runtime.bundle.names import find_bundle

    from rim_edge.cli.opening import folder_of, load_engine
    from rim_edge.evaluation.two_bundles import compare_answers

    texts, right = _questions(rows, skip_bad, limit)
    with ExitStack() as stack:
        folders = [stack.enter_context(folder_of(find_bundle(one))) for one in (name, other)]
        engines = [stack.enter_context(load_engine(folder, engine)) for folder in folders]
        texts, right = _that_both_take(engines, texts, right)
        answers = [_asked(one, texts) for one in engines]
        found = compare_answers(texts, answers[0], answers[1], right)
        body = _body(found, engines)
    if as_json:
        print_json(body)
    else:
        _print(found, body)


def _questions(rows: Path | None, skip_bad: bool, limit: int | None) -> tuple[list[str], list[str | None]]:
    """Return the questions' texts, and the right letters where rows have some."""
    if rows is None:
        from rim_export.questions import CERTIFICATE_SET, read_questions

        asked = read_questions(CERTIFICATE_SET).asked[:256][:limit]
        return [one.text for one in asked], [one.answer for one in asked]
    from rim_edge.cli.evaluating.scoring import read_rows

    read = read_rows(rows, skip_bad, limit)
    return [row.item.question for row in read], [row.item.answer if row.item.letters else None for row in read]


def _that_both_take(
    engines: list[Engine], texts: list[str], right: list[str | None]
) -> tuple[list[str], list[str | None]]:
    """Return the questions that both bundles can be asked. Raises InputError where there is none."""
    from rim_runtime.errors import InputError, QuestionError
    from rim_runtime.question import Question

    def is_taken(text: str) -> bool:
        try:
            for one in engines:
                one.check(Question(text))
        except QuestionError:
            return False
        return True

    kept = [(text, known) for text, known in zip(texts, right, strict=True) if is_taken(text)]
    if not kept:
        raise InputError(f"None of the {len(texts)} questions can be asked of both bundles. Give others: --rows")
    return [text for text, _ in kept], [known for _, known in kept]


def _asked(engine: Engine, texts: list[str]) -> list[Any]:
    from rim_runtime.question import Question

    return engine.ask_many([Question(text) for text in texts])


def _body(found: TwoBundles, engines: list[Engine]) -> dict[str, Any]:
    told = [
        {
            "bundle": one.bundle,
            "manifest_sha256": one.manifest.sha256,
            "engine": one.name,
            "precision": one.precision,
            "bytes": sum(entry.bytes for entry in one.manifest.files.values()),
            "p50_ms": found.p50_ms[place],
            "right": None if found.right is None else found.right[place],
        }
        for place, one in enumerate(engines)
    ]
    return {
        "bundles": told,
        "questions": found.questions,
        "labelled": found.labelled,
        "different": [asdict(one) for one in found.different],
        "near_ties": found.near,
        "mean_kl": found.mean_kl,
    }


def _print(found: TwoBundles, body: dict[str, Any]) -> None:
    out = console()
    out.print()
    for one in body["bundles"]:
        right = "" if one["right"] is None else f", {one['right']:,} of {found.labelled:,} right"
        what = f"{one['bundle']} · {one['engine']} · {one['precision']} · {megabytes(one['bytes'])}"
        print_wrapped(out, f"{what} · {milliseconds(one['p50_ms'])}{right}")
    share = percent(len(found.different) / found.questions)
    out.print()
    print_wrapped(
        out,
        f"{len(found.different):,} of {found.questions:,} letters differ ({share}), {found.near:,} of them near "
        f"ties; mean KL {found.mean_kl:.4f}",
    )
    for one in found.different[:_SHOWN]:
        first = one.question.strip().partition("\n")[0]
        print_wrapped(out, f"{one.first} or {one.second}{' (near)' if one.is_near else ''}: {first}")
    if len(found.different) > _SHOWN:
        print_wrapped(out, f"and {len(found.different) - _SHOWN:,} more: --json has all")
    out.print()
