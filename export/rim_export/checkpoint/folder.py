"""A checkpoint on disk: a plain transformers folder, opened without loading its weights."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rim_runtime.bundle.folder import sha256_file
from rim_runtime.machine.json_files import read_json

from rim_export.checkpoint.contents import READ_FILES, refuse_foreign_files
from rim_export.checkpoint.families import check_architecture, window_of
from rim_export.checkpoint.geometry import Geometry
from rim_export.checkpoint.latent import LatentSettings
from rim_export.checkpoint.links import refuse_links_out
from rim_export.checkpoint.other_forms import (
    check_tensor_names,
    refuse_file,
    refuse_other_forms,
    refuse_quantized,
    without_config,
)
from rim_export.checkpoint.prompt import RimSettings
from rim_export.checkpoint.template import without_today
from rim_export.checkpoint.tensors import WeightFiles, in_layer
from rim_export.errors import CheckpointError, CheckpointNotFoundError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
"""OWNER/NAME, as a model hub names its repositories."""
GENERATION = "generation_config.json"
"""How the model writes text; a checkpoint may lack it."""
_HUB_FOLDER = "models--"
"""What the hub's cache puts before a model's name in its folder's."""
DEFAULT_MODEL = "NDIJayant/OpenMed-qwen3-1.7b-RIM"
"""What `rim-edge export` takes without `--model` (the model card's repository)."""


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint folder of a supported architecture."""

    path: Path
    """The folder."""
    name: str
    """Hub id or folder name."""
    revision: str | None
    """The hub's commit, if the folder is in the hub's cache."""
    config: Mapping[str, Any]
    """config.json."""
    weights: WeightFiles
    """Its tensors, read one at a time."""

    @classmethod
    def open(cls, model: str | Path) -> Checkpoint:
        """Open a local folder, or a hub id that is in the hub's cache; nothing is downloaded.

        Raises CheckpointNotFoundError, CheckpointError and UnsupportedModelError.
        """
        path = _locate(model)
        refuse_other_forms(path)
        refuse_links_out(path)
        refuse_foreign_files(path)
        config = read_config(path)
        refuse_quantized(config, path)
        check_architecture(config)
        weights = WeightFiles.open(path)
        check_tensor_names(weights.tensors, path)
        check_tables(weights, config)
        real = path.resolve()
        in_cache = real.parent.name == "snapshots" and real.parents[1].name.startswith(_HUB_FOLDER)
        return cls(
            path=path,
            name=_hub_id(real) if in_cache else real.name,
            revision=real.name if in_cache else None,
            config=config,
            weights=weights,
        )

    @property
    def rim(self) -> RimSettings | None:
        """The `"rim"` entry of config.json; None if there is none."""
        return RimSettings.from_config(self.config)

    @property
    def latent(self) -> LatentSettings | None:
        """The `"latent"` entry of config.json; None if there is none."""
        return LatentSettings.from_config(self.config)

    @property
    def sizes(self) -> Geometry:
        """The model's sizes."""
        return Geometry.of(self.config)

    @property
    def generation_config(self) -> Mapping[str, Any]:
        """Its generation_config.json; empty if there is none. Raises CheckpointError."""
        path = self.path / GENERATION
        try:
            found = read_json(path) if path.is_file() else {}
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read ({error!r}). Copy it again, or remove it.") from None
        if not isinstance(found, dict):
            raise CheckpointError(f"{path} is not a JSON object. Copy it again, or remove it.")
        return found

    @property
    def positions(self) -> int:
        """The longest prompt that the model takes and no window cuts, in tokens."""
        return min(self.sizes.positions, window_of(self.config) or self.sizes.positions)

    def load_tokenizer(self, template: str | None = None) -> Any:
        """Return the transformers tokenizer, with another chat template if one is given.

        A template that prints today's date prints TEMPLATE_DATE. Code in the folder is never run, and the user is
        not asked whether to run it. Raises CheckpointError if there is no tokenizer.
        """
        from transformers import AutoTokenizer

        if not (self.path / "tokenizer.json").is_file():
            raise CheckpointError(
                f"{self.path} has no tokenizer.json, expected the model's fast tokenizer. "
                "Copy the tokenizer files of its base model into the folder."
            )
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                self.path, config=self.load_config(), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"The tokenizer in {self.path} cannot be read ({error}). Copy its files again."
            ) from None
        chosen = template or tokenizer.chat_template
        if isinstance(chosen, str):
            tokenizer.chat_template = without_today(chosen)
        return tokenizer

    def load_config(self) -> Any:
        """Return the config that was read as an object of one of transformers' own classes.

        Raises CheckpointError for values that transformers cannot use.
        """
        from transformers import CONFIG_MAPPING

        try:
            return CONFIG_MAPPING[self.config["model_type"]].from_dict(copy.deepcopy(dict(self.config)))
        except Exception as error:  # noqa: BLE001 (its checks raise what they like)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise CheckpointError(
                f"{self.path / 'config.json'} cannot be used ({reason}). Copy it again."
            ) from None

    def weights_sha256(self) -> str:
        """Return one hash over all weight files, in name order. Raises CheckpointError."""
        whole = hashlib.sha256()
        for path in self.weights.paths:
            whole.update(f"{path.name} {_sha256(path)}\n".encode())
        return whole.hexdigest()

    def files_sha256(self) -> Mapping[str, str]:
        """Return the hashes of the files that are read besides the weights, by name. Raises CheckpointError."""
        found = (self.path / name for name in READ_FILES)
        return {path.name: _sha256(path) for path in found if path.is_file()}


def _sha256(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}). Check its permissions, or copy it again."
        ) from None


def _locate(model: str | Path) -> Path:
    path = Path(model)
    if path.is_dir():
        return path
    if path.is_file():
        refuse_file(path)
    if path.exists() or not (isinstance(model, str) and _HUB_ID.fullmatch(model)):
        raise CheckpointNotFoundError(
            f"There is no checkpoint folder at {model}. Give a folder with config.json, tokenizer and weights."
        )
    return _locate_in_hub_cache(model)


def _hub_id(snapshot: Path) -> str:
    """Return OWNER/NAME of a folder models--OWNER--NAME/snapshots/REVISION of the hub's cache."""
    folder = snapshot.parents[1].name
    return folder.removeprefix(_HUB_FOLDER).replace("--", "/", 1)


def _locate_in_hub_cache(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise CheckpointNotFoundError(
            f"{model} is neither a local folder nor in the hub's cache, and rim-edge downloads nothing. "
            f"On a machine with a network run 'hf download {model} --local-dir DIR', "
            "copy DIR here, then: rim-edge export --model DIR"
        ) from None


def read_config(path: Path) -> Mapping[str, Any]:
    """Return a checkpoint's config.json. Raises CheckpointNotFoundError and CheckpointError."""
    if not path.is_dir():
        raise CheckpointNotFoundError(f"There is no folder {path}, expected a checkpoint. Name another.")
    try:
        config = read_json(path / "config.json")
    except FileNotFoundError:
        raise CheckpointError(without_config(path)) from None
    except OSError as error:
        raise CheckpointError(
            f"{path / 'config.json'} cannot be read ({error.strerror}). Check its permissions."
        ) from None
    except ValueError as error:
        raise CheckpointError(f"{path / 'config.json'} is not JSON ({error}). Copy it again.") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path / 'config.json'} is not a JSON object. Copy it again.")
    return config


def check_tables(weights: WeightFiles, config: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless embedding and output layer have a row for every id that config.json counts.

    They are the matrices outside the layers, whatever their names; learned positions are such a matrix too.
    """
    sizes = Geometry.of(config)
    expected, positions = (sizes.vocabulary, sizes.width), (sizes.positions, sizes.width)
    for name in sorted(weights.tensors):
        found = weights.shape(name)
        if not in_layer(name) and found and len(found) == 2 and found not in (expected, positions):
            raise CheckpointError(
                f"The checkpoint's tensor for {name} has shape {list(found)}, config.json says {list(expected)}. "
                "Weights and config.json do not belong together: save the whole model again after its vocabulary "
                "was resized, or copy both anew."
            )
