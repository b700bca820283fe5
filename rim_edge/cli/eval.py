"""`rim-edge eval`: how often a bundle or a checkpoint answers right, asked in one way or in many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.errors.stopped import INTERRUPTED, PartlyDone
from rim_edge.cli.evaluating.options import (
    AgainstOption,
    BudgetsOption,
    CardOption,
    ChainOption,
    DeviceOption,
    EachBlockOption,
    FileArgument,
    HtmlOption,
    InstructionOption,
    MaxTokensOption,
    OneByOneOption,
    PassAtOption,
    PermuteOption,
    PrecisionOption,
    SamplesOption,
    SavedOption,
    SaveOption,
    ShuffleOption,
    TemperatureOption,
    WayOption,
)
from rim_edge.cli.options import (
    BundleOption,
    CheckpointOption,
    EngineOption,
    JsonOption,
    LimitOption,
    SeedOption,
    SkipBadOption,
)
from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from rim_edge.cli.evaluating.scoring import Wanted
    from rim_edge.cli.evaluating.subjects import Chosen
    from rim_edge.cli.show.evaluation import Scored


def evaluate(
    ctx: typer.Context,
    file: FileArgument = None,
    way: WayOption = None,
    blocks: BudgetsOption = None,
    bundle: BundleOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    model: CheckpointOption = None,
    device: DeviceOption = "auto",
    limit: LimitOption = None,
    shuffle: ShuffleOption = False,
    skip_bad: SkipBadOption = False,
    one_by_one: OneByOneOption = False,
    seed: SeedOption = 0,
    max_tokens: MaxTokensOption = None,
    instruction: InstructionOption = "",
    each_block: EachBlockOption = False,
    chain: ChainOption = None,
    samples: SamplesOption = None,
    temperature: TemperatureOption = 0.8,
    pass_at: PassAtOption = None,
    permute: PermuteOption = False,
    save: SaveOption = None,
    saved: SavedOption = None,
    against: AgainstOption = None,
    card: CardOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score answers with 0..K memory blocks, each with its 95 % Wilson interval.

    Rows that cannot be asked (too long; open ones where letters are read) are left out, counted and named. Ctrl-C
    shows the scores of what was asked so far.
    """
    from rim_edge.cli.evaluating.scoring import Wanted, read_rows
    from rim_edge.cli.evaluating.subjects import Chosen
    from rim_edge.evaluation.way import Draws, Manner

    given: dict[str, object] = {
        "FILE": file,
        "--as": way,
        "--blocks": blocks,
        "--bundle": bundle,
        "--engine": engine if engine is not EngineName.AUTO else None,
        "--precision": precision,
        "--model": model,
        "--device": device if device != "auto" else None,
        "--shuffle": shuffle or None,
        "--skip-bad": skip_bad or None,
        "--one-by-one": one_by_one or None,
        "--seed": seed or None,
        "--max-tokens": max_tokens,
        "--instruction": instruction or None,
        "--each-block": each_block or None,
        "--chain": chain,
        "--samples": samples,
        "--permute": permute or None,
        "--save": save,
    }
    _require_new(html)
    if card is not None:
        others = {"--pass-at": pass_at, "--against": against, "--saved": saved}
        _refuse_beside("--card", "the card's file says all of it", given | others)
        _score_card(card, limit, html, as_json)
        return
    ks = tuple(dict.fromkeys(pass_at or ([samples] if samples else [])))
    page = Page(html, tuple(ctx.obj or ()))
    if saved is not None:
        _refuse_beside("--saved", "it shows a run as it was", given | {"--limit": limit})
        _show_saved(saved, against, ks, page, as_json)
        return
    if file is None:
        raise typer.BadParameter("a FILE of rows is missing, or --saved FILE, or --card FILE")
    if shuffle and limit is None:
        raise typer.BadParameter("--shuffle draws the rows of --limit N, and there is none. Pass --limit N.")
    draws = None if samples is None else Draws(samples, temperature, seed=seed)
    manner = Manner(way, max_tokens, instruction, one_by_one, draws, permute)
    chosen = Chosen(bundle, engine, precision, model, device, chain, each_block)
    drawn_by = seed if shuffle else None
    rows = read_rows(file, skip_bad, limit, drawn_by)
    wanted = Wanted(file, rows, manner, blocks, chain, each_block, seed, ks, save, against, drawn_by)
    _score_one(chosen, wanted, page, as_json)


@dataclass(frozen=True)
class Page:
    """A page that is wanted."""

    file: Path | None
    """Where; None: none is wanted."""
    command: tuple[str, ...]
    """What was called, without the program's name."""

    def write(self, scored: Scored) -> None:
        """Write the page of an evaluation."""
        from rim_runtime.machine.storage import write_file

        from rim_edge.cli.show.report.page import render_report

        if self.file is not None:
            write_file(self.file, render_report(scored, self.command))
            note(f"the page is in {self.file}")


def _require_new(html: Path | None) -> None:
    from rim_runtime.machine.storage import refuse_existing, require_writable

    if html is not None:
        refuse_existing(html)
        require_writable(html)


def _score_one(chosen: Chosen, wanted: Wanted, page: Page, as_json: bool) -> None:
    from rim_edge.cli.evaluating.scoring import score
    from rim_edge.cli.evaluating.subjects import opened

    with opened(chosen) as make:
        reader = make(wanted.manner)
        if not reader.blocks and (wanted.manner.way is None or wanted.manner.way.has_blocks):
            note(f"{reader.subject.name} has no memory blocks: its zero-shot answers are scored")
        scored = score(reader, wanted)
    if scored.asked.readings:
        _show(scored, page, as_json)
    if not scored.asked.is_whole:
        if scored.asked.readings:
            raise PartlyDone(INTERRUPTED)
        raise KeyboardInterrupt


def _show_saved(saved: Path, against: Path | None, pass_at: tuple[int, ...], page: Page, as_json: bool) -> None:
    from rim_edge.cli.evaluating.scoring import score_saved

    _show(score_saved(saved, against, pass_at), page, as_json)


def _show(scored: Scored, page: Page, as_json: bool) -> None:
    from rim_edge.cli.show.evaluation import print_scored

    if as_json:
        print_json(scored.to_json())
    else:
        print_scored(scored)
    page.write(scored)


def _refuse_beside(option: str, reason: str, given: Mapping[str, object]) -> None:
    for name in (name for name, value in given.items() if value is not None):
        raise typer.BadParameter(f"{option} and {name} exclude each other: {reason}")


def _score_card(file: Path, limit: int | None, html: Path | None, as_json: bool) -> None:
    from rim_runtime.machine.storage import write_file

    from rim_edge.cli.evaluating.card import run_card
    from rim_edge.cli.show.card import print_card
    from rim_edge.evaluation.report.page import render_page

    table = run_card(file, limit)
    if as_json:
        print_json(table.to_json())
    else:
        print_card(table)
    if html is not None:
        write_file(html, render_page(table))
    if not table.is_whole:
        raise PartlyDone(INTERRUPTED)
