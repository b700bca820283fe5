"""`rim-edge bundle vectors`: questions with their tokens, logits and answers, for runtimes in other languages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim_edge.cli.options import BundleArgument, JsonOption, LimitOption, PrecisionOption, SkipBadOption, new_path
from rim_edge.cli.output import console, print_json, progress_line
from rim_edge.cli.show.wrap import print_wrapped

if TYPE_CHECKING:
    from rim_edge.vectors.cases import Case

TargetArgument = Annotated[Path, typer.Argument(metavar="FILE", parser=new_path, help="A new file (JSON).")]
RowsOption = Annotated[
    Path | None,
    typer.Option(
        "--rows", metavar="FILE", help="Rows to ask as well (.jsonl, .json or .txt).", show_default=False
    ),
]


def vectors(
    name: BundleArgument,
    target: TargetArgument,
    rows: RowsOption = None,
    limit: LimitOption = None,
    skip_bad: SkipBadOption = False,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write test vectors: with them a runtime in another language is checked against this one.

    Questions of every kind, each with its tokens, logits, probabilities and answer as ort-cpu gives them here, and
    questions that must be refused. docs/bundle-format.md says how to compare.
    """
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.names import find_bundle
    from rim_runtime.machine.storage import refuse_existing, require_writable, write_file

    from rim_edge.cli.opening import folder_of, load_engine
    from rim_edge.vectors.make import lines, make_vectors

    refuse_existing(target)
    require_writable(target)
    more = [] if rows is None else _cases(rows, skip_bad, limit)
    with (
        folder_of(find_bundle(name)) as folder,
        load_engine(folder, "ort-cpu", precision) as engine,
        progress_line() as progress,
    ):
        made = make_vectors(Bundle.load(folder), engine, more, progress)
    write_file(target, "".join(lines(made)))
    body = {
        "name": made.about["bundle"],
        "path": str(target.absolute()),
        "variant": made.about["variant"],
        "cases": len(made.cases),
        "refusals": len(made.refusals),
        "near": sum(case["near"] for case in made.cases),
        "tolerance": {"logit": made.tolerance.logit, "probability": made.tolerance.probability},
    }
    if as_json:
        print_json(body)
        return
    print_wrapped(
        console(),
        f"{target} has {body['cases']} questions and {body['refusals']} refusals of {body['name']} "
        f"({body['variant']}). Logits may differ by {made.tolerance.logit:g}, probabilities by "
        f"{made.tolerance.probability:g}; {body['near']} questions are so near a tie that their letter may too.",
    )


def _cases(rows: Path, skip_bad: bool, limit: int | None) -> list[Case]:
    from rim_edge.cli.evaluating.scoring import read_rows
    from rim_edge.vectors.cases import Case

    return [Case(f"row {row.place}", row.item.question) for row in read_rows(rows, skip_bad, limit)]
