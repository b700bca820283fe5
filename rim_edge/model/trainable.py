"""The trainable model: from scratch or from a checkpoint, with its RiM tokens; only what learns has gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rim_export.checkpoint.folder import read_config
from rim_export.checkpoint.latent import LatentSettings
from rim_export.checkpoint.prompt import RimSettings, rim_token_ids
from rim_export.errors import CheckpointError
from torch import nn

from rim_edge.errors import CurriculumError
from rim_edge.model.checkpoint import read_checkpoint, saved_dtype, stored_once, write_checkpoint
from rim_edge.model.vocabulary import freeze_vocabulary, thaw_vocabulary
from rim_edge.recipe.recipe import Lora, Recipe, Trains


@dataclass(frozen=True)
class TrainableModel:
    """The model that is trained, and what belongs to it."""

    model: Any
    """A transformers causal language model in fp32; what learns requires gradients."""
    tokenizer: Any
    """Its tokenizer, RiM tokens included."""
    rim: RimSettings | None
    """Blocks and prefix; None for a model with latent steps in their place."""
    dtype: torch.dtype
    """Dtype of the saved weights: the source's own."""
    trains: Trains
    """Which weights learn."""
    adapted: Any = None
    """peft's wrapper, where adapters learn."""

    @property
    def padding(self) -> int:
        """The id that fills rows."""
        given = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next((int(number) for number in given if number is not None), 0)


def load_trainable(recipe: Recipe, model: Path | None, seed: int) -> TrainableModel:
    """Return the model to train. Raises CheckpointError, and CurriculumError where there is none to start from."""
    torch.manual_seed(seed)
    if model is None:
        return _from_scratch(recipe)
    rim = None if recipe.curriculum.is_latent else RimSettings.from_config(read_config(model)) or recipe.rim
    return open_trainable(model, rim, recipe.trains, recipe.lora)


def open_trainable(model: Path, rim: RimSettings | None, trains: Trains, lora: Lora) -> TrainableModel:
    """Return a checkpoint's model with its RiM tokens, what does not learn frozen, and the adapters where they do.

    Raises CheckpointError.
    """
    loaded, tokenizer = read_checkpoint(model)
    if rim is not None:
        _add_rim_tokens(loaded, tokenizer, rim)
    return _set_free(TrainableModel(loaded, tokenizer, rim, saved_dtype(read_config(model)), trains), lora)


def write_trained(folder: Path, trainable: TrainableModel, latent: LatentSettings | None = None) -> None:
    """Write a plain checkpoint: adapters merged, vocabulary whole. The model cannot be trained further.

    `latent` is what config.json says of its latent steps.
    """
    model = trainable.model if trainable.adapted is None else merge_adapters(trainable.adapted)
    if trainable.trains is not Trains.EVERYTHING:
        thaw_vocabulary(model)
    write_checkpoint(
        folder,
        model,
        trainable.tokenizer,
        trainable.rim,
        trainable.dtype,
        weights=stored_once(model.state_dict()),
        latent=latent,
    )


def _set_free(trainable: TrainableModel, lora: Lora) -> TrainableModel:
    """Freeze what does not learn, and add the adapters."""
    if trainable.trains is Trains.EVERYTHING:
        return trainable
    adapted = None
    if trainable.trains is Trains.LORA:
        adapted = add_adapters(trainable.model, lora)
    rim = trainable.rim
    freeze_vocabulary(trainable.model, () if rim is None else rim_token_ids(trainable.tokenizer, rim.tokens))
    return replace(trainable, adapted=adapted)


def _from_scratch(recipe: Recipe) -> TrainableModel:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from rim_edge.puzzles.tokenizer import build_tokenizer

    if recipe.scratch is None:
        raise CurriculumError(f"The recipe '{recipe.name}' has no model of its own. Pass --model DIR.")
    if recipe.trains is not Trains.EVERYTHING:
        raise CurriculumError(f"A model from scratch trains everything, found trains = '{recipe.trains}'.")
    tokenizer = build_tokenizer()
    config = Qwen3Config(
        **recipe.scratch.config,
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        attn_implementation="sdpa",
    )
    model = Qwen3ForCausalLM(config)
    torch.nn.init.normal_(model.get_input_embeddings().weight, 0.0, recipe.scratch.embedding_std)
    rim = None if recipe.curriculum.is_latent else recipe.rim
    return TrainableModel(model, tokenizer, rim, getattr(torch, recipe.scratch.dtype), recipe.trains)


def _add_rim_tokens(model: Any, tokenizer: Any, rim: RimSettings) -> None:
    """Add the RiM tokens that the tokenizer lacks; the embedding grows only where it has no unused rows.

    Their embeddings start near the mean of the vocabulary, a tenth of its deviation apart: unused rows may
    hold anything, and equal ones would stay equal. Raises CheckpointError for other tokens beyond the embedding.
    """
    rows = int(model.get_input_embeddings().num_embeddings)
    vocabulary = tokenizer.get_vocab()
    words = 1 + max(number for token, number in vocabulary.items() if token not in rim.tokens)
    if words > rows:
        raise CheckpointError(
            f"The tokenizer has tokens up to the id {words - 1:,}, and the embedding {rows:,} rows, expected a "
            "row for each. Copy tokenizer and weights from the same source."
        )
    known = tokenizer.get_added_vocab()
    added = [token for token in rim.tokens if known.get(token, rows) >= rows]
    if not added:
        return
    tokenizer.add_tokens([token for token in added if token not in known], special_tokens=True)
    new = tokenizer.convert_tokens_to_ids(added)
    if max(new) >= rows:
        model.resize_token_embeddings(max(new) + 1, mean_resizing=False)
    with torch.no_grad():
        matrix = model.get_input_embeddings().weight
        mean, deviation = matrix[:words].mean(0), matrix[:words].std(0)
        matrix[new] = mean + 0.1 * deviation * torch.randn(len(new), matrix.shape[1])


def add_adapters(model: Any, lora: Lora) -> Any:
    """Freeze the model's layers, give each of their matrices an adapter in place, and return peft's wrapper.

    The matrices are all linear maps of the layers, whatever a family calls them (merged ones as in Phi-3, GPT-2's
    Conv1D). Raises CurriculumError for a rank that is no lower than the matrices' own, and where there are none.
    """
    from peft import LoraConfig, LoraModel
    from transformers.pytorch_utils import Conv1D

    matrices = [module for module in model.base_model.modules() if isinstance(module, (nn.Linear, Conv1D))]
    if not matrices:
        raise CurriculumError(
            "The model's layers have no matrices, expected some that adapters can change. Take another model, or "
            "train whole layers (--lora-rank 0)."
        )
    full = min(min(module.weight.shape) for module in matrices)
    if lora.rank > full:
        raise CurriculumError(
            f"lora.rank is {lora.rank}, expected {full} at most: the model has matrices that are no larger. "
            "Lower the rank, or train whole layers (--lora-rank 0)."
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.rank * lora.scale,
        lora_dropout=0.5,  # any value above 0 creates the module; every stage sets its own
        target_modules="all-linear",  # those above: all but the head
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in matrices),  # Conv1D stores them transposed
        bias="none",
    )
    return LoraModel(model, config, "default")


def merge_adapters(wrapper: Any) -> Any:
    """Add the adapters to their matrices and return the plain model."""
    return wrapper.merge_and_unload()


def set_dropout(model: nn.Module, rate: float) -> None:
    """Set the dropout of the adapters where there are some, and of nothing else; without them that of the layers.

    Layers have it in the attention; GPT-2 also behind each part and on its embeddings. What the checkpoint's own
    configuration says (GPT-2's 0.1) does not count: only the stage's rate is drawn from the run's seed.
    """
    adapters = {module for name, module in model.named_modules() if ".lora_dropout." in name}
    for module in model.modules():
        own = rate if not adapters or module in adapters else 0.0
        if isinstance(module, nn.Dropout):
            module.p = own
        elif hasattr(module, "attention_dropout"):
            module.attention_dropout = own  # type: ignore[assignment]
