"""What a checkpoint with latent steps adds to an export: its contract, and its projection head as a graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
from rim_runtime.bundle.latent import PROJECTION, Latent
from rim_runtime.bundle.roles import LATENT
from rim_runtime.errors import InputError
from rim_runtime.prompt.encoder import PromptEncoder

from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.latent import CARD_INSTRUCTION, CARD_STEPS, LatentSettings, token_ids
from rim_export.checkpoint.projection_head import ProjectionHead, find_projection_head, read_projection_head
from rim_export.checkpoint.prompt import derive_latent_contract
from rim_export.errors import CheckpointError
from rim_export.graph.projection_head import projection_graph
from rim_export.settings import AnswerForm, ExportOptions


@dataclass(frozen=True)
class LatentModel:
    """The latent steps of a checkpoint."""

    latent: Latent
    """Their contract, as the manifest says it."""
    head: ProjectionHead | None
    """The projection head; None: a step reads the state before it as it is."""

    @property
    def entries(self) -> Mapping[str, Any]:
        """What a manifest's `optional` has of it."""
        return {LATENT: dataclasses.asdict(self.latent)}

    def write_head(self, folder: Path) -> None:
        """Write the head's graph, its weights inside."""
        if self.head is not None:
            ir.save(projection_graph(self.head), folder / PROJECTION)

    def prompts(self, encoder: PromptEncoder, questions: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Return token ids up to the first latent step."""
        own, latent = encoder.with_contract(self.latent.prompt), self.latent
        return tuple(
            (*own.compose_text(latent.instruction + question, 0), *latent.begin_ids) for question in questions
        )


def read_latent(
    checkpoint: Checkpoint, tokenizer: Any, options: ExportOptions
) -> tuple[LatentModel | None, tuple[str, ...]]:
    """Return the latent steps of a checkpoint, and what was assumed; None if its answers have none.

    Raises CheckpointError (the head cannot be read or has another size, or tokens are missing) and InputError.
    """
    if options.answers is not AnswerForm.TEXT or options.latent_steps == 0:
        return None, ()
    chosen, notes = _settings(checkpoint, options)
    if chosen is None:
        return None, ()
    if options.blocks or options.trace:
        chosen_too = f"blocks is {options.blocks}" if options.blocks else "trace was chosen"
        raise InputError(
            f"{chosen_too}, but this checkpoint takes latent steps in the place of memory blocks. Leave it out, "
            "or say --latent-steps 0."
        )
    path = _head_file(checkpoint, chosen, options)
    head = None if path is None else read_projection_head(path, checkpoint.sizes.width)
    latent = Latent(
        steps=chosen.steps,
        prompt=derive_latent_contract(tokenizer),
        instruction=chosen.instruction,
        begin_ids=token_ids(tokenizer, chosen.begin),
        end_ids=token_ids(tokenizer, chosen.end),
        head=None if head is None else PROJECTION,
    )
    _check(checkpoint, latent)
    plain = "There is no projection head: a latent step reads the last state as it is, as Coconut's do."
    return LatentModel(latent, head), (*notes, *(() if head else (plain,)))


def _settings(checkpoint: Checkpoint, options: ExportOptions) -> tuple[LatentSettings | None, tuple[str, ...]]:
    """Combine the options with config.json's entry, or else with QThink's cards; note what is assumed."""
    stated = checkpoint.latent
    has_head = options.projection_head is not None or find_projection_head(checkpoint.path) is not None
    if stated is None and not has_head and options.latent_steps is None:
        if options.instruction is not None:
            raise InputError(
                f"instruction is {options.instruction!r}, but {checkpoint.path} takes no latent steps, and it is "
                "for models that do. Add --latent-steps, or leave it out."
            )
        return None, ()
    chosen: dict[str, Any] = {"steps": options.latent_steps, "instruction": options.instruction}
    given = {name: value for name, value in chosen.items() if value is not None}
    cards: dict[str, Any] = {"steps": CARD_STEPS, "instruction": CARD_INSTRUCTION}
    is_qthink = stated is None and has_head
    assumed = {name: value for name, value in cards.items() if is_qthink and name not in given}
    listed = ", ".join(f"{name} {value!r}" for name, value in assumed.items())
    notes = (f'config.json has no "latent" entry: assumed of QThink\'s cards {listed}.',) if assumed else ()
    return replace(stated or LatentSettings(), **assumed, **given), notes


def _head_file(checkpoint: Checkpoint, chosen: LatentSettings, options: ExportOptions) -> Path | None:
    if options.projection_head is not None:
        return options.projection_head
    if chosen.head is None:
        return find_projection_head(checkpoint.path)
    return checkpoint.path / chosen.head


def _check(checkpoint: Checkpoint, latent: Latent) -> None:
    """Raise CheckpointError if there are no positions for the steps, or no rows for the tokens around them."""
    if latent.steps >= checkpoint.positions:
        raise CheckpointError(
            f"{latent.steps:,} latent steps leave no room for a question: the model has {checkpoint.positions:,} "
            "positions. Take fewer."
        )
    rows, most = checkpoint.sizes.vocabulary, max((*latent.begin_ids, *latent.end_ids), default=0)
    if most >= rows:
        raise CheckpointError(
            f"The tokens around the latent steps reach id {most}, the embedding table has {rows} rows: the model "
            "was not resized when tokens were added. Save it with the tokenizer that it was trained with."
        )
