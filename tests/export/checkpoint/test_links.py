"""Links in a checkpoint: none may bring a file from elsewhere into the bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError

from tests.places import DEMO_PACKAGE


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "checkpoint"))


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "tokenizer.json", "model.safetensors", "config.json"])
def test_a_link_that_leads_out_is_refused(checkpoint: Path, tmp_path: Path, name: str) -> None:
    (checkpoint / name).replace(tmp_path / "elsewhere")
    (checkpoint / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=f"{name} is a link to .*elsewhere, outside the checkpoint"):
        Checkpoint.open(checkpoint)


def test_links_inside_the_folder_are_followed(checkpoint: Path) -> None:
    (checkpoint / "LICENSE").replace(checkpoint / "LICENSE.apache")
    (checkpoint / "LICENSE").symlink_to("LICENSE.apache")
    assert Checkpoint.open(checkpoint).weights.tensors


def test_the_hubs_cache_is_links_and_no_foreign_ones(checkpoint: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in checkpoint.iterdir():
        shutil.copyfile(path, blobs / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    assert Checkpoint.open(snapshot).revision == "abc"


def test_an_index_names_files_beside_it(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").replace(checkpoint.parent / "x.safetensors")
    index = {"weight_map": {"model.norm.weight": "../x.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        CheckpointError, match=r"names '\.\./x\.safetensors', expected plain names of files beside it"
    ):
        Checkpoint.open(checkpoint)
