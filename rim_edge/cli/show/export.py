"""What an export shows at its end: size and time, the certificate in short, and which variant answers here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.widened import counted, in_words
from rim_runtime.engines.names import EngineName
from rim_runtime.errors import UnavailableError
from rim_runtime.loading.candidates import find_candidates

from rim_edge.cli.output import console
from rim_edge.cli.show.numbers import count, interval, megabytes, seconds, tenths

if TYPE_CHECKING:
    from rim_export import ExportReport


def answering_here(report: ExportReport) -> dict[str, str]:
    """Return what answers on this machine if nothing is chosen: the variant by its engine; empty if nothing does.

    That is the first GPU engine, or else those of the CPU: which of them is faster shows when it is first asked.
    """
    try:
        found = find_candidates(EngineName.AUTO, Bundle(report.bundle, report.manifest), None)
    except UnavailableError:
        return {}
    able = found.gpu or found.cpu
    first = list(able.items())[:1] if found.gpu else able.items()
    return {str(engine): variant.name for engine, variant in first}


def _told(here: dict[str, str], report: ExportReport) -> str:
    if not here:
        return "No engine that is installed here runs it: rim-edge doctor says what is missing."
    by_variant = {name: [engine for engine in here if here[engine] == name] for name in here.values()}
    able = ", or ".join(f"{name} on {' or '.join(engines)}" for name, engines in by_variant.items())
    others = [variant.name for variant in report.manifest.variants if variant.name not in by_variant]
    rest = f" {' and '.join(others)} {'is' if len(others) == 1 else 'are'} for other engines." if others else ""
    return f"What answers here: {able}.{rest}"


def export_body(report: ExportReport, *, as_default: bool) -> dict[str, object]:
    """Return the report for programs."""
    return {
        "name": report.manifest.name,
        "path": str(report.bundle.absolute()),
        "default": as_default,
        "precision": report.manifest.variants[0].precision,
        "answers_here": answering_here(report),
        "plans": [asdict(plan) for plan in report.manifest.plans],
        "bytes": sum(entry.bytes for entry in report.manifest.files.values()),
        "seconds": report.seconds,
        "notes": report.notes,
        "certificate": report.certificate.body(),
    }


def print_export(report: ExportReport, *, as_default: bool) -> None:
    """Print the report: how the variants compare with the checkpoint, and what answers here."""
    out = console()
    size = sum(entry.bytes for entry in report.manifest.files.values())
    head = Text.assemble(
        "\n  ", (report.manifest.name, "bold green"), f"   {megabytes(size)} in {seconds(report.seconds)}\n"
    )
    out.print(head)
    for variant in report.certificate.variants:
        same = variant.n - variant.flips
        out.print(f"  {variant.variant} answers {same:,} of {variant.n:,} questions like the checkpoint")
        out.print(f"  it changes {interval(variant.flips_interval)} of the letters (95 % interval)")
        if variant.near_tie_flips:
            ties = f"{variant.near_tie_flips:,} of the {variant.flips:,} changed letters were nearly tied"
            out.print(f"  {ties} in the checkpoint, and do not count as changed")
        if variant.accuracy is not None and variant.reference_accuracy is not None:
            right = f"right on {tenths(variant.accuracy)} of {variant.labelled:,}"
            out.print(f"  {right} with a known answer; the checkpoint on {tenths(variant.reference_accuracy)}")
        if variant.widened:
            out.print(f"  kept wider ({counted(variant.widened)}): {in_words(variant.widened)}")
    for text in report.certificate.text:
        same = text.tokens - text.changed
        behind = f", behind {count(text.latent_steps, 'latent step')}" if text.latent_steps else ""
        out.print(f"  {text.variant} writes {same:,} of {text.tokens:,} tokens like the checkpoint{behind}")
    for trace in report.certificate.traces:
        readouts = trace.questions * len(trace.flips)
        same = readouts - sum(trace.flips)
        out.print(f"  {trace.variant} traces {same:,} of {readouts:,} letters, behind every block, like it")
    out.print(Text(f"\n  {report.bundle.absolute()}", "dim"))
    path = "" if as_default else f" --bundle {report.bundle}"
    told = "'rim-edge ask' uses it from now on." if as_default else f'Ask it: rim-edge ask "…"{path}'
    out.print(f"  {_told(answering_here(report), report)}")
    out.print(f"  {told}\n")
