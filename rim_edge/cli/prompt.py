"""`rim-edge prompt`: exactly the tokens that the model sees for a question."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from rim_edge.cli.options import BlocksOption, BundleOption, ChoiceOption, JsonOption, QuestionArgument
from rim_edge.cli.output import console, print_json

if TYPE_CHECKING:
    from rich.text import Text
    from rim_runtime.prompt.contract import Prompt, PromptContract
    from rim_runtime.prompt.encoder import PromptEncoder


def prompt(
    question: QuestionArgument = None,
    choice: ChoiceOption = None,
    bundle: BundleOption = None,
    blocks: BlocksOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show exactly the tokens that the model sees."""
    from rim_runtime.bundle.folder import Bundle
    from rim_runtime.bundle.names import resolve_bundle
    from rim_runtime.loading.load import load_encoder
    from rim_runtime.question import Question

    from rim_edge.cli.asking.text import read_question
    from rim_edge.cli.opening import folder_of

    text = Question(read_question(question), choice or None).rendered()
    with folder_of(resolve_bundle(bundle).path) as folder:
        encoder = load_encoder(Bundle.load(folder))
    composed = encoder.compose(text, blocks)
    if as_json:
        print_json({"ids": composed.ids, "parts": dataclasses.asdict(composed)})
    else:
        _print(composed, encoder)


def _print(composed: Prompt, encoder: PromptEncoder) -> None:
    from rich.text import Text

    out = console()
    contract = encoder.contract
    told = {"blocks": _count(composed, contract), "prefix": contract.prefix_text}
    for part, ids in dataclasses.asdict(composed).items():
        head = Text.assemble(
            (f"{part:<8}", "bold"), (f"  {len(ids):>5,} ids   {told.get(part, '')}".rstrip(), "dim")
        )
        out.print(head)
        if part == "question":
            out.print(_pieces(encoder.token_texts(ids)))
        out.print(Text(f"  {' '.join(map(str, ids))}\n"))
    limit = encoder.question_limit
    out.print(f"{len(composed.ids):,} tokens; the question has {len(composed.question):,} of at most {limit:,}.")


def _count(composed: Prompt, contract: PromptContract) -> str:
    """Return how many of the model's memory blocks are used, and of how many tokens each is."""
    if not contract.blocks:
        return "this model has none"
    length = len(contract.block)
    return f"{len(composed.blocks) // length} of {contract.blocks} × {length}"


def _pieces(texts: tuple[str, ...]) -> Text:
    """Return the question cut into its tokens; part of a character shows as a replacement sign."""
    from rich.text import Text

    shown = Text("  ")
    for number, text in enumerate(texts):
        shown.append("│" if number else "", "dim").append(repr(text)[1:-1], "green")
    return shown
