"""A checkpoint's files by their hashes; one that cannot be read is named, not the target."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest
import rim_export
from rim_export.checkpoint import folder as module
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError

from tests.places import DEMO_PACKAGE


def test_what_is_read_besides_the_weights_is_hashed() -> None:
    folder = DEMO_PACKAGE / "checkpoint"
    found = Checkpoint.open(folder).files_sha256()
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= found.keys()
    assert found == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in found}


def test_a_file_that_cannot_be_read_is_no_error_of_writing(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint lies beside the target, as it often does."""

    def no(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(module, "sha256_file", no)
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be read \(Permission denied\)"):
        rim_export.export(damaged, tmp_path / "bundle", rim_export.ExportOptions())
    assert not (tmp_path / "bundle").exists()
